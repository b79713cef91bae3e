"""What is asked for. The attributes have phones offer the number, and then the code."""

from __future__ import annotations

from typing import Any, Final

from django import forms

from qasid import InvalidRecipient
from qasid.phone import e164

__all__ = ["NO_CODE", "NO_NUMBER", "CodeForm", "NumberForm"]

NO_NUMBER: Final = "Write your number as +, the country code and the number."
NO_CODE: Final = "This code is not right, or no longer. Ask for another one."


class NumberForm(forms.Form):
    """A mobile number, as people write it."""

    number = forms.CharField(
        label="Your mobile number",
        max_length=40,
        widget=forms.TextInput(
            {"type": "tel", "inputmode": "tel", "autocomplete": "tel", "autofocus": True}
        ),
    )

    def clean_number(self) -> str:
        """The number in E.164."""
        try:
            return e164(self.cleaned_data["number"])
        except InvalidRecipient:
            raise forms.ValidationError(NO_NUMBER) from None


class EmptyInput(forms.TextInput):
    """An input that never shows again what was typed: a code that was rejected is of no use."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """What it is drawn from."""
        return super().get_context(name, None, attrs)


class CodeForm(forms.Form):
    """A code, in the digits of any script."""

    code = forms.CharField(
        max_length=20,
        widget=EmptyInput(
            {"inputmode": "numeric", "autocomplete": "one-time-code", "autofocus": True}
        ),
    )
