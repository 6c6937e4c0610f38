"""The program put together: which part gets which, how it starts, and how it is watched."""
