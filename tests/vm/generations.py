start_all()
a_camera.wait_for_open_port(8554)
prepare(recorder)
records(recorder)


def generation() -> int:
    """Which one is in force."""
    return next(g["number"] for g in ask(recorder, "generations") if g["current"])


first = generation()
recorder.succeed(f"sed 's/name = \"Gate\"/name = \"Main gate\"/' {SITE} > /var/tmp/site.toml")

with subtest("a wrong site changes nothing"):
    recorder.succeed("sed 's/area = \"gate\"/area = \"gat\"/' /var/tmp/site.toml > /var/tmp/wrong.toml")
    recorder.fail("custodian apply --site /var/tmp/wrong.toml")
    assert generation() == first

with subtest("a trial that nobody confirms is taken back, though the power fails meanwhile"):
    recorder.succeed("custodian apply --site /var/tmp/site.toml --try 1m")
    assert generation() != first
    recorder.crash()
    recorder.start()
    recorder.wait_for_unit("custodian-apply.service")
    retry(lambda _last_try: generation() == first)
    records(recorder)

with subtest("what is confirmed stays"):
    recorder.succeed("custodian apply --site /var/tmp/site.toml --try 1h")
    # It may want to see pictures first.
    recorder.wait_until_succeeds("custodian confirm")
    second = generation()
    assert second != first
    recorder.shutdown()
    recorder.start()
    recorder.wait_for_unit("custodian-apply.service")
    assert generation() == second

with subtest("and one can go back"):
    recorder.succeed(f"custodian rollback --to {first}")
    recorder.succeed("grep -q 'name = \"Gate\"' /var/lib/custodian/current/site.toml")
    records(recorder)
