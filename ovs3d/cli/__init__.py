"""The `ovs3d` command: one file per subcommand."""

from ovs3d.cli.main import main as main
