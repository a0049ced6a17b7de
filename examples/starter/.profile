# Heroku runs this before each process. Its Key-Value Store signs its own certificate and changes REDIS_URL when it
# likes, so "do not verify the certificate" is added here and not kept in a setting.
case "$REDIS_URL" in
rediss://*\?*) ;;
rediss://*) export REDIS_URL="$REDIS_URL?ssl_cert_reqs=none" ;;
esac
