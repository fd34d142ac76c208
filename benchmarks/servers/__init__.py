"""Each peer as its users would write it by its documentation.

Every module has ``echo``, which answers each message with itself, and ``lobby``, where what
anybody says goes to all.
"""
