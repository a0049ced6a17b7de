# Heroku runs this before each process. Its Key-Value Store has a self-signed certificate and may change REDIS_URL at any
# time, so "do not verify the certificate" is added here and not stored in a setting. It is added only on a dyno and for
# the hosts of that store. Any other certificate is verified.
case "${DYNO:+dyno} ${REDIS_URL%%://*} ${REDIS_URL##*@}" in
*\?*) ;;
"dyno rediss ec2-"*.amazonaws.com:*) export REDIS_URL="$REDIS_URL?ssl_cert_reqs=none" ;;
esac
