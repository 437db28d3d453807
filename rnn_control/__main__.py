"""python -m rnn_control, the same as the command rnn-control."""

from rnn_control_cli.main import main

main()
