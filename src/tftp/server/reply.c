/* reply.c: the socket that answers a request, and ERRORs (internal.h). */
#include "tftp/server/internal.h"

#include "net/net.h"

static struct sockeye__tftp_wire site_wire(const struct sockeye__tftp_site *site,
					   const struct sockeye_dgram *from)
{
	return (struct sockeye__tftp_wire){
	    .fd = site->fd,
	    .to = {.peer = from->peer, .local = from->local},
	};
}

int sockeye__tftp_reply_open(struct sockeye__tftp_worker *w, const struct sockeye__tftp_site *site,
			     const struct sockeye_dgram *from, struct sockeye__tftp_wire *out,
			     struct sockeye__tftp_port **out_port)
{
	struct sockeye_sockaddr local;
	int err;

	if (w->server->config.single_port) {
		*out = site_wire(site, from);
		*out_port = NULL;
		return 0;
	}
	local = from->local.len > 0 ? from->local : site->name;
	local = sockeye__sockaddr_unmapped(&local);
	err = sockeye__tftp_port_open(w, &local, out_port);
	if (err < 0)
		return err;
	*out = (struct sockeye__tftp_wire){.fd = (*out_port)->fd,
					   .to = {.peer = sockeye__sockaddr_unmapped(&from->peer)}};
	return 0;
}

void sockeye__tftp_reply_error(struct sockeye__tftp_worker *w,
			       const struct sockeye__tftp_site *site,
			       const struct sockeye_dgram *from, size_t request_len, uint16_t code,
			       const char *text)
{
	struct sockeye__tftp_wire wire;
	struct sockeye__tftp_port *port;
	uint8_t packet[160];
	size_t len = sockeye__tftp_error_encode(packet, sizeof packet, code, text);

	if (len > request_len && !sockeye__tftp_rate_take(w, &from->peer)) {
		if (request_len <= SOCKEYE__TFTP_HEADER) {
			sockeye__tftp_drop(w, SOCKEYE__TFTP_DROP_RATE, &from->peer);
			return;
		}
		len = sockeye__tftp_error_encode(packet, request_len, code, text);
	}
	/* If no port is free, the reply is sent from the port that received the request: a
	 * client accepts its first reply from any port. */
	if (sockeye__tftp_reply_open(w, site, from, &wire, &port) < 0) {
		wire = site_wire(site, from);
		port = NULL;
	}
	(void)sockeye__tftp_wire_packet(&wire, packet, len);
	if (port != NULL)
		sockeye__tftp_port_close(w, port);
}
