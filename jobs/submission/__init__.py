"""Jobs on a Ray cluster: a command and the checkout it runs in -> a job there, its log here, its exit code.

package.py   checkout -> one file, without what the ignore files name
work.py      command, package, environment -> what is submitted, and the id that the same work has again
cluster.py   what we ask of a cluster, in words when it goes wrong
follow.py    the log of a job until it ends
"""
