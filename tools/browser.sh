#!/bin/sh
# Prints where the browser is that tests drive: $CHROMIUM, or the first one found. Fails where there is none.
for browser in "${CHROMIUM:-}" chromium chromium-browser google-chrome \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" \
    "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
    command -v "$browser" && exit
done
exit 1
