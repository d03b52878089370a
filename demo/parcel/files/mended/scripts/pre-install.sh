#!/bin/sh
# Prepares a host for dten 4.2.0.
set -eu
systemctl stop dten-agent.service
rm -rf -- "${DTEN_HOME:?}"/cache
systemctl start dten-agent.service
