"""python -m rnn_control_cli, the same as rnn-control."""

from .main import main

main()
