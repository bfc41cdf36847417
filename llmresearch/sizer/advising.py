"""What to turn when it does not fit."""

from dataclasses import replace


def with_advice(bare, asked):
    return bare
