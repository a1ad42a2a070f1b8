#!/usr/bin/python3
"""A mail server that nobody of this project wrote: aiosmtpd. Prints its port, then each message that it took as a line of JSON, as
Python's own parser of mail reads it.

    smtp_server.py '{"security": "starttls", "cert": "…", "key": "…", "user": "…", "password": "…", "refuse": {"a@b": [550, …]}}'

"refuse" has for an address the answers to RCPT, one after the other; the last one stays, and 0 means that it is taken. "data" has in the
same way the answers to what is sent; "hang" never answers.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

told = json.loads(sys.argv[1])


def say(what):
    print(json.dumps(what), flush=True)


def answer(answers):
    """The next of several answers; the last one stays."""
    return answers.pop(0) if len(answers) > 1 else answers[0]


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        code = answer(told.get("refuse", {}).get(address, [0]))
        if code:
            return f"{code} 5.1.1 <{address}> is not known here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        code = answer(told.get("data", [0]))
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        say(
            {
                "code": code,
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "tls": session.ssl is not None,
                "user": getattr(session, "auth_data", None) and session.auth_data.login.decode(),
                "headers": [[name, str(value)] for name, value in message.items()],
                "type": message.get_content_type(),
                "charset": message.get_content_charset(),
                "parts": sum(1 for _ in message.walk()),
                "defects": [str(d) for d in message.defects],
                "longest": max(len(line) for line in envelope.content.split(b"\r\n")),
                "body": message.get_content() if not message.is_multipart() else None,
            }
        )
        if code == "hang":
            await asyncio.Event().wait()
        return f"{code} no" if code else "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    right = (data.login.decode(), data.password.decode()) == (told["user"], told["password"])
    return AuthResult(success=right, handled=False, auth_data=data)


async def serve():
    security = told.get("security", "none")
    context = None
    if security != "none":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(told["cert"], told["key"])
    options = {}
    if told.get("user"):
        # What is encrypted from the beginning is so without its knowing.
        options |= {"authenticator": authenticate, "auth_required": True, "auth_require_tls": security == "starttls"}
    if security == "starttls":
        options |= {"tls_context": context, "require_starttls": True}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Handler(), hostname="mail.school.test", loop=loop, **options),
        "127.0.0.1",
        told.get("port", 0),
        ssl=context if security == "tls" else None,
    )
    say({"port": server.sockets[0].getsockname()[1]})
    # Until whoever started it is gone.
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(serve())
