/*
 * client_folder.h: the name of the directory that a client has below the root, from its
 * address or from the MAC address of its network card.
 */
#ifndef SOCKEYE_TFTP_SERVER_CLIENT_FOLDER_H
#define SOCKEYE_TFTP_SERVER_CLIENT_FOLDER_H

#include <stdint.h>

#include <sockeye/sockaddr.h>

#define SOCKEYE__TFTP_FOLDER_MAX 64 /* bytes of a name, with the NUL */

enum sockeye__tftp_unique_root {
	SOCKEYE__TFTP_UNIQUE_NONE,
	SOCKEYE__TFTP_UNIQUE_IP,
	SOCKEYE__TFTP_UNIQUE_MAC,
};

/* A socket to the kernel's neighbor table (rtnetlink(7)). */
struct sockeye__tftp_neighbors;

/* Open the table before a sandbox forbids sockets. Returns 0 or -errno. */
int sockeye__tftp_neighbors_open(struct sockeye__tftp_neighbors **out);
void sockeye__tftp_neighbors_close(struct sockeye__tftp_neighbors *n);

/* Writes the name of the client's directory: 192.0.2.7, 2001:db8::7 or 02-00-5e-10-00-07. Writes
 * "" if the kernel does not know the MAC address, for example because a router is in between.
 * Never waits for the network. */
void sockeye__tftp_client_folder(enum sockeye__tftp_unique_root kind,
				 struct sockeye__tftp_neighbors *n,
				 const struct sockeye_sockaddr *client,
				 char out[SOCKEYE__TFTP_FOLDER_MAX]);

#endif
