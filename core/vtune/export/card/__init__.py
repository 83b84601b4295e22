"""A voice's card: what a person should know before using it, as a model card that the Hub understands."""

from vtune.export.card.form import CardFiles, Form, voice_form
from vtune.export.card.write import card_text, write_card

__all__ = ["CardFiles", "Form", "card_text", "voice_form", "write_card"]
