"""The only code that touches the machine: it is handed plans and never learns which design it builds."""
