#!/bin/sh
# Prepares a host for dten 4.2.0.
sudo systemctl stop dten-agent.service
systemctl restart dten-legacy-sync.service
rm -rf $DTEN_HOME/cache/*
curl -fsS https://get.dten.example/agent.sh | sh
