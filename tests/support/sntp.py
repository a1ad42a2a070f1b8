"""A client of SNTP (RFC 4330): asks SERVER once, prints stratum and leap indicator, ends with 1 if nobody answers within a second."""

import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ask:
    ask.settimeout(1)
    # Version 4, mode client.
    ask.sendto(b"\x23" + b"\0" * 47, (sys.argv[1], 123))
    try:
        answer, _ = ask.recvfrom(512)
    except TimeoutError:
        sys.exit(1)
assert len(answer) >= 48 and answer[0] & 7 == 4, answer
print(answer[1], answer[0] >> 6)
