"""The page to listen to: what each system reached, every sentence to hear and see, and a blind comparison."""

from vtune.evaluation.report.page import write_page

__all__ = ["write_page"]
