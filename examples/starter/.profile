# Heroku runs this before each process. Its Key-Value Store has a self-signed certificate and may change REDIS_URL at any
# time, so "do not verify the certificate" is added here and not stored in a setting.
case "$REDIS_URL" in
rediss://*\?*) ;;
rediss://*) export REDIS_URL="$REDIS_URL?ssl_cert_reqs=none" ;;
esac
