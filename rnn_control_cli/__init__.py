"""The command line `rnn-control`: thin, and the only place where the three packages meet."""
