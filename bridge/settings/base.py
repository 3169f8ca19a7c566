"""What all sections of the settings share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict

from bridge.settings.values import agent_kind, barge_in, comma_list

AgentKind: TypeAlias = Annotated[str, BeforeValidator(agent_kind)]
BargeIn: TypeAlias = Annotated[str, BeforeValidator(barge_in)]
Texts: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(comma_list)]


class Section(BaseModel):
    """A table of the settings: frozen, and strict about names.

    A docstring under a field is its documentation: `bridge.settings.sentences` reads it where it is to be shown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)
