"""The vendor's keys: what the firmware's measurements are signed for, and what updates are signed with. They are never part of a commit."""

from parts.host import say, sha256


def keys(folder, tools):
    """Made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    pcr, public = folder / "pcr.pem", folder / "pcr.pub.pem"
    if not pcr.exists():
        say(f"makes a key for PCR signatures: {pcr}")
        tools.run(["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", pcr])
        pcr.chmod(0o600)
    if not public.exists():
        tools.run(["openssl", "pkey", "-in", pcr, "-pubout", "-out", public])
    secret, ring = folder / "update.secret.asc", folder / "update.gpg"
    if not secret.exists():
        say(f"makes a key for updates: {secret}")
        gpg(tools, folder, f"""
            gpg --batch --quiet --passphrase '' --quick-gen-key 'custodian updates' rsa3072 sign never
            gpg --batch --quiet --armor --export-secret-keys > {secret}.new
            chmod 600 {secret}.new
            mv {secret}.new {secret}""")
    if not ring.exists():
        gpg(tools, folder, f"gpg --batch --quiet --import {secret}\ngpg --batch --export > {ring}")
    return pcr, public, secret, ring


def sums(tools, secret, folder, epoch):
    """The hashes of an update directory, and the signature over them, the same each time."""
    listing = folder / "SHA256SUMS"
    files = sorted(p for p in folder.iterdir() if p.name.startswith("custodian_"))
    listing.write_text("".join(f"{sha256(p)}  {p.name}\n" for p in files))
    gpg(tools, secret.parent, f"""
        gpg --batch --quiet --import {secret}
        rm -f {listing}.gpg
        # No earlier than the key itself, or nobody believes it.
        made=$(gpg --batch --list-keys --with-colons | awk -F: '$1 == "pub" {{ print $6; exit }}')
        when=$(( {epoch} > made ? {epoch} : made ))
        gpg --batch --quiet --faked-system-time $when! --digest-algo SHA512 --no-emit-version --output {listing}.gpg --detach-sign {listing} 2>&1 | grep -v 'faked system time' || true
        test -s {listing}.gpg""")


def gpg(tools, folder, script):
    tools.run(["bash", "-c", f"set -e\nexport GNUPGHOME=$(mktemp -d)\ntrap 'gpgconf --kill all; rm -rf $GNUPGHOME' EXIT\n{script}"], cwd=str(folder))
