"""`python -m longhaul`, the command by the interpreter that has it."""

from longhaul.main import main

main()
