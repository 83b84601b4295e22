from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from vtune.recipe.explain import explain


class Settings(BaseModel):
    rate: int = Field(8000, ge=8_000, le=2**31 - 1)
    share: float = Field(0.5, lt=0.75)
    name: Annotated[str, Field(min_length=3)] = "abc"
    mode: Literal["fast", "exact"] = "fast"
    colour: str = "red"

    @field_validator("colour")
    @classmethod
    def _known_colour(cls, colour: str) -> str:
        if colour != "red":
            raise ValueError("only red is painted")
        return colour


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"rate": 3_000_000_000}, " must be 2147483647 or less, found 3000000000"),
        ({"rate": 1.5}, " must be a whole number, found 1.5"),
        ({"share": 1}, " must be below 0.75, found 1"),
        ({"share": None}, " must be a number, found null"),
        ({"name": "a"}, " must have 3 characters or more, found 'a'"),
        ({"name": True}, " must be text, found true; put it in quotes"),
        ({"mode": "fats"}, " must be 'fast' or 'exact', found 'fats'; did you mean 'fast'?"),
        ({"colour": "blue"}, ": only red is painted (found 'blue')"),
    ],
)
def test_a_value_is_explained_in_one_sentence(values: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(values)
    (error,) = caught.value.errors()
    assert explain(error) == text
