"""Write the listening page: scores of each system, every sentence to hear and see, and a blind comparison."""

from vtune.evaluation.report.page import write_page

__all__ = ["write_page"]
