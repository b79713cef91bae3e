"""One module for each library that is compared with, run in the environment of its `.txt` file.

Each does its own job by its own public call, and is turned to the loopback server as its docstring
says; over HTTPS the server's authority comes from REQUESTS_CA_BUNDLE.
"""
