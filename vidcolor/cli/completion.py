"""`vidcolor completion`."""

import click
from click.shell_completion import get_completion_class

from vidcolor import choices
from vidcolor.cli.param_types import Choice
from vidcolor.cli.text import answer


@click.command("completion")
@click.argument("shell", type=Choice(choices.SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that lets SHELL complete commands, options, models, recipes and files.

    \b
    Examples, each for the shell's own start file:
      eval "$(vidcolor completion bash)"            # ~/.bashrc
      eval "$(vidcolor completion zsh)"             # ~/.zshrc, after compinit
      source (vidcolor completion fish | psub)      # ~/.config/fish/config.fish
    """
    complete = get_completion_class(shell)
    if complete is None:
        raise click.UsageError(f"this Click knows no completion for {shell}.", ctx)
    script = complete(ctx.find_root().command, {}, "vidcolor", "_VIDCOLOR_COMPLETE").source()
    answer(*script.split("\n"))
