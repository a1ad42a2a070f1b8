"""Knocks at a machine: `knock.py WHAT ADDRESS [PORT]`. Prints nothing; who is let in is seen at the other end.

tcp, udp    every port, once
tiny        one connection's first packet in two fragments, the first of which ends before the flags (RFC 1858)
large       one datagram of UDP in three fragments
echo        a ping
router      an advertisement of a router (RFC 4861), to all nodes
dhcp        an answer of a DHCP server, by broadcast
bind        as udp to PORT, from the address SOURCE that belongs to somebody else
"""

import socket
import struct
import sys

what, address = sys.argv[1:3]
port = int(sys.argv[3]) if len(sys.argv) > 3 else 0
source = sys.argv[4] if len(sys.argv) > 4 else None
family = socket.AF_INET6 if ":" in address else socket.AF_INET


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def every_port():
    kind = socket.SOCK_STREAM if what == "tcp" else socket.SOCK_DGRAM
    for number in range(1, 65536):
        with socket.socket(family, kind) as knock:
            knock.setblocking(False)
            try:
                if what == "tcp":
                    knock.connect((address, number))
                else:
                    knock.sendto(b"x", (address, number))
            except OSError as e:
                # Some are refused at once. What must not happen is that nothing was sent.
                if e.errno not in (11, 111, 115):
                    raise


def tiny():
    src, dst = socket.inet_aton(source), socket.inet_aton(address)
    head = struct.pack("!HHIIBBHHH", 40000, port, 1, 0, 5 << 4, 2, 1024, 0, 0)
    pseudo = src + dst + struct.pack("!BBH", 0, 6, len(head))
    head = head[:16] + struct.pack("!H", checksum(pseudo + head)) + head[18:]
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for offset, more, part in ((0, 0x2000, head[:8]), (1, 0, head[8:])):
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(part), 77, more | offset, 64, 6, 0, src, dst)
        raw.sendto(ip + part, (address, 0))


def echo():
    if family == socket.AF_INET:
        body = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP).sendto(body, (address, 0))
    else:
        # The kernel adds the checksum.
        body = struct.pack("!BBHHH", 128, 0, 0, 1, 1)
        socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6).sendto(body, (address, 0))


def router():
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    raw.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0), (address, 0, 0, socket.if_nametoindex(source)))


def dhcp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        server.bind((source, 67))
        server.sendto(b"x" * 240, (address, 68))


def one(size):
    with socket.socket(family, socket.SOCK_DGRAM) as knock:
        if source:
            knock.bind((source, 0))
        knock.sendto(b"x" * size, (address, port))


{
    "tcp": every_port,
    "udp": every_port,
    "tiny": tiny,
    "large": lambda: one(4000),
    "echo": echo,
    "router": router,
    "dhcp": dhcp,
    "bind": lambda: one(48),
}[what]()
