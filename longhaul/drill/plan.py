"""The plan of a drill: which faults, how they are made and mended, and how many probes see each."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from common.config.duration import parse_duration
from longhaul.drill.probe import LONGEST
from longhaul.exits import UsageError

Seconds = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]


class Fault(StrEnum):
    """What a drill can do by itself, to processes on its own machine."""

    KILL_WORKER = "kill worker"
    STALL_WORKER = "stall worker"
    KILL_BACKEND = "kill backend"
    STALL_BACKEND = "stall backend"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scenario(_Frozen):
    name: str = Field(min_length=1)
    fault: Fault | None = None
    command: str | None = None  # makes the fault, where none of ours does
    restore: str | None = None  # a command that mends it
    hold: Seconds = 0.0  # between the two

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.fault is None) == (self.command is None):
            raise ValueError("say either fault or command")
        return self


class Plan(_Frozen):
    starts: Path  # what the probes write; as seen from here
    read_starts: str | None = None  # a command that prints all of it, where probes have several
    backend: str = "drill"
    jobs: int = Field(default=20, ge=2, le=1000)
    seconds: Seconds = Field(default=1.0, le=LONGEST)  # that a probe takes
    within: Seconds = 180.0  # everything has ended so long after the fault
    scenarios: tuple[Scenario, ...] = Field(min_length=1)


def read_plan(file: Path) -> Plan:
    """Raises: UsageError: It cannot be read, or is no plan; the text says where."""
    try:
        found: Any = yaml.safe_load(file.read_text())
        return Plan.model_validate(found)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{file}: {error}") from error
    except ValidationError as error:
        wrong = [
            f"{'.'.join(str(step) for step in each['loc']) or 'the plan'}: {each['msg']}"
            for each in error.errors()
        ]
        raise UsageError(f"{file}: {'; '.join(wrong)}") from error
