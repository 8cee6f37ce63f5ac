"""`python -m hls.report` is `bnn report`: `hls.rtl_report`."""

import sys

from hls.rtl_report.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
