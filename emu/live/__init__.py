"""The only code that touches the machine: it is handed plans and never learns which design it builds."""

import os

# Ordinary users of Debian have no sbin in their PATH; ovs-vswitchd, ethtool, tc and nginx are there.
os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
