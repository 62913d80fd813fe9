/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The connection manager: listening, requests, events. Each worker has an event channel, which its ring
 * polls; a request comes on the channel of its listener and moves to the worker that is to have it.
 *
 * The kernel lets only those use a channel, or a device, whose privileges are the very ones that it was
 * opened with. So each worker opens its own, after privileges were dropped, and does itself all that is
 * done with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "target/subsys.h"
#include "transport/address.h"
#include "transport/rdma/netdev.h"
#include "transport/rdma/rdma.h"

enum { PRIVATE_MAX = 256 /* bytes of private data of any event */ };

struct rdma_listener {
	struct rdma_owner owner;
	struct rdma_cm_id *id; /* owned */
	struct listener *listener;
};

/* A request on its way to its worker. */
struct arrival {
	struct msg msg;
	struct worker *worker;
	struct listener *listener;
	struct rdma_cm_id *id; /* owned */
	struct private_wants wants;
	unsigned reads_max;
};

/* ------------------------------------------------------------------------------------------- events */

static void channel_watch(struct rdma_worker *rdma);

/* One event; false when there is none. */
static bool event_handle(struct rdma_worker *rdma)
{
	uint8_t private[PRIVATE_MAX];
	struct rdma_cm_event *event, copy;
	struct rdma_owner *owner;

	if (rdma_get_cm_event(rdma->channel, &event))
		return false;
	/* A request has the context of the listener. The owner may destroy the identifier: acknowledge first. */
	copy = *event;
	owner = event->id->context;
	if (copy.param.conn.private_data)
		memcpy(private, copy.param.conn.private_data, copy.param.conn.private_data_len);
	rdma_ack_cm_event(event);
	copy.param.conn.private_data = copy.param.conn.private_data ? private : NULL;
	owner->event(owner, &copy);
	return true;
}

static void events_came(struct op *op, int res, uint32_t flags)
{
	struct rdma_worker *rdma = container_of(op, struct rdma_worker, channel_op);

	(void)res;
	(void)flags;
	for (unsigned i = 0; i < RDMA_EVENTS_TURN && event_handle(rdma); i++)
		;
	/* Completes at once if there are more. */
	channel_watch(rdma);
}

static void channel_watch(struct rdma_worker *rdma)
{
	struct io_uring_sqe *sqe = loop_sqe(&rdma->worker->loop);

	rdma->channel_op.done = events_came;
	io_uring_prep_poll_add(sqe, rdma->channel->fd, POLLIN);
	loop_bind(sqe, &rdma->channel_op);
}

/* 0 or negative errno. */
static int channel_open(struct rdma_worker *rdma)
{
	if (rdma->channel)
		return 0;
	rdma->channel = rdma_create_event_channel();
	if (!rdma->channel)
		return errno ? -errno : -ENODEV;
	fcntl(rdma->channel->fd, F_SETFL, fcntl(rdma->channel->fd, F_GETFL) | O_NONBLOCK);
	channel_watch(rdma);
	return 0;
}

void cm_close(struct rdma_worker *rdma)
{
	if (rdma->channel)
		rdma_destroy_event_channel(rdma->channel);
}

/* ----------------------------------------------------------------------------------------- requests */

void cm_reject(struct rdma_cm_id *id, enum private_sts sts)
{
	struct private_reject reject;

	private_encode_reject(&reject, sts);
	rdma_reject(id, &reject, sizeof(reject));
	rdma_destroy_id(id);
}

/* What becomes of a request on its way shows when it is accepted. */
static void arrival_event(struct rdma_owner *owner, const struct rdma_cm_event *event)
{
	(void)owner;
	(void)event;
}

static struct rdma_owner arrival_owner = { arrival_event };

static void arrival_end(struct arrival *arrival, enum private_sts sts)
{
	if (sts) {
		cm_reject(arrival->id, sts);
		worker_connection_put(arrival->worker);
	}
	listener_put(arrival->listener);
	free(arrival);
}

static void arrival_adopt(struct arrival *arrival)
{
	struct rdma_worker *rdma = rdma_of(arrival->worker);
	enum private_sts sts = PRIVATE_NO_RESOURCES;

	if (!rdma->draining)
		sts = rdma_queue_open(rdma, arrival->listener, arrival->id, &arrival->wants,
				      arrival->reads_max);
	arrival_end(arrival, sts);
}

/* Back on the worker of its listener, where its identifier still is, and which has the device. */
static void arrival_return(struct msg *msg)
{
	struct arrival *arrival = container_of(msg, struct arrival, msg);

	worker_connection_move(arrival->worker, arrival->listener->worker);
	arrival->worker = arrival->listener->worker;
	arrival_adopt(arrival);
}

/* Can this worker have connections of the device? If not, that is said, and it is asked again in a while. */
static bool worker_can_use(struct rdma_worker *rdma, struct ibv_context *verbs)
{
	uint64_t now_ns = rdma->worker->loop.now_ns;
	char why[LISTENER_WHY_MAX];

	if (rdma->refused_ns && now_ns - rdma->refused_ns < LISTEN_RETRY_MS * 1000000ull)
		return false;
	rdma->refused_ns = 0;
	if (device_get(rdma, verbs, why, sizeof(why)))
		return true;
	rdma->refused_ns = now_ns;
	log_warning("worker %u: %s; its connections go to the worker of the listener",
		    rdma->worker->index, why);
	return false;
}

static void arrival_deliver(struct msg *msg)
{
	struct arrival *arrival = container_of(msg, struct arrival, msg);
	struct rdma_worker *rdma = rdma_of(arrival->worker);
	int rc = channel_open(rdma);

	if (!rc && !worker_can_use(rdma, arrival->id->verbs))
		rc = -ENODEV;
	else if (!rc && rdma_migrate_id(arrival->id, rdma->channel))
		rc = -errno;
	if (!rc) {
		arrival_adopt(arrival);
		return;
	}
	if (rc != -ENODEV)
		log_peer(listener_about(arrival->listener),
			 "listener %s: a connection cannot go to worker %u: %s",
			 arrival->listener->config->name, arrival->worker->index, strerror(-rc));
	arrival->msg.deliver = arrival_return;
	loop_post(&arrival->listener->worker->loop, &arrival->msg);
}

/* To the worker that has the fewest connections. PRIVATE_OK: it takes the identifier over. */
static enum private_sts request_place(struct listener *listener, struct rdma_cm_id *id,
				      const struct private_wants *wants, unsigned reads_max,
				      const char *peer)
{
	struct worker *worker = worker_accept();
	struct arrival *arrival;

	if (!worker) {
		log_peer(listener_about(listener),
			 "listener %s: refused a connection, there are as many as [daemon] "
			 "max_connections allows",
			 listener->config->name);
		return PRIVATE_NO_RESOURCES;
	}
	arrival = calloc(1, sizeof(*arrival));
	if (!arrival) {
		log_peer(log_about(.peer = peer, .listener = listener->config->name),
			 "%s: refused: no memory for a new connection", peer);
		worker_connection_put(worker);
		return PRIVATE_NO_RESOURCES;
	}
	arrival->msg.deliver = arrival_deliver;
	arrival->worker = worker;
	arrival->listener = listener;
	arrival->id = id;
	arrival->wants = *wants;
	arrival->reads_max = reads_max;
	id->context = &arrival_owner;
	listener_get(listener);
	if (worker == listener->worker)
		arrival_adopt(arrival);
	else
		loop_post(&worker->loop, &arrival->msg);
	return PRIVATE_OK;
}

static void request(struct listener *listener, struct rdma_cm_id *id,
		    const struct rdma_conn_param *param)
{
	/* What the host answers of RDMA READs at a time is what may be begun here. */
	unsigned reads_max = param->initiator_depth;
	struct private_wants wants;
	/* For which subsystem it is shows at Connect, when the queue pair is there. */
	enum private_sts sts = private_parse(param->private_data, param->private_data_len,
					     subsys_deepest(), &wants);
	char peer[sizeof(((struct queue *)NULL)->peer)];

	address_text(rdma_get_peer_addr(id), peer, sizeof(peer));
	if (!sts && !reads_max)
		sts = PRIVATE_INVALID_IRD;
	if (sts)
		log_peer(log_about(.peer = peer, .listener = listener->config->name),
			 "%s: listener %s: refused a connection: %s", peer, listener->config->name,
			 private_sts_name(sts));
	else
		sts = request_place(listener, id, &wants, reads_max, peer);
	if (sts)
		cm_reject(id, sts);
}

/* ---------------------------------------------------------------------------------------- listening */

static void listener_event(struct rdma_owner *owner, const struct rdma_cm_event *event)
{
	struct rdma_listener *rl = container_of(owner, struct rdma_listener, owner);
	struct listener *listener = rl->listener;

	switch (event->event) {
	case RDMA_CM_EVENT_CONNECT_REQUEST:
		request(listener, event->id, &event->param.conn);
		break;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		cm_unlisten(listener);
		listener_lost(listener, "its RDMA device was removed");
		break;
	case RDMA_CM_EVENT_ADDR_CHANGE:
		cm_unlisten(listener);
		listener_lost(listener, "its address moved to another interface");
		break;
	default:
		log_debug("listener %s: %s", listener->config->name, rdma_event_str(event->event));
		break;
	}
}

/* Is there any RDMA device? If not, says so. */
static bool any_device(struct listener *listener, const struct sockaddr_storage *ss,
		       struct netdev_text *devices)
{
	struct netdev_text interface;

	netdev_rdma_devices(devices);
	if (devices->s[0])
		return true;
	netdev_of_address((const struct sockaddr *)ss, &interface);
	listener_why(
		listener,
		"this machine has no RDMA device (the address is on %s); for soft-RoCE: rdma link "
		"add NAME type rxe netdev INTERFACE",
		interface.s);
	return false;
}

static void explain_bind(struct listener *listener, const struct sockaddr_storage *ss, int error)
{
	char belongs[sizeof(struct netdev_text) + sizeof("(on )")];
	struct netdev_text devices, interface;

	/* When the address is missing or taken the core has words for that. */
	if (error != ENODEV || !any_device(listener, ss, &devices))
		return;
	netdev_of_address((const struct sockaddr *)ss, &interface);
	snprintf(belongs, sizeof(belongs), "(on %s)", interface.s);
	if (strstr(devices.s, belongs))
		listener_why(
			listener,
			"the RDMA device of %s cannot be opened: [daemon] user needs access to "
			"/dev/infiniband/uverbs*; the devices are %s",
			interface.s, devices.s);
	else
		listener_why(
			listener,
			"the address is on %s, which no RDMA device belongs to; the devices are %s",
			interface.s, devices.s);
}

static void explain_channel(struct listener *listener, const struct sockaddr_storage *ss, int error)
{
	struct netdev_text devices;

	if (any_device(listener, ss, &devices))
		listener_why(listener,
			     "no connection manager: %s; /dev/infiniband/rdma_cm is needed, of the "
			     "module rdma_ucm, and access to it",
			     strerror(error));
}

static int listen_bind(struct rdma_listener *rl, const struct sockaddr_storage *ss)
{
	int one = 1;

	/* So that :: and 0.0.0.0 can be two listeners. */
	if (ss->ss_family == AF_INET6)
		rdma_set_option(rl->id, RDMA_OPTION_ID, RDMA_OPTION_ID_AFONLY, &one, sizeof(one));
	if (rdma_bind_addr(rl->id, (struct sockaddr *)ss)) {
		int error = errno;

		explain_bind(rl->listener, ss, error);
		return -error;
	}
	return 0;
}

/* What the devices that the listener's worker has can do. */
static struct datapath_fact dmabuf_fact(const struct worker *worker)
{
	struct datapath_fact fact = rdma_no_device();

	list_for_each(device, &rdma_of(worker)->devices, struct rdma_device, link) {
		if (device->gone)
			continue;
		fact = (struct datapath_fact){ device->region.dmabuf, device->region.why_not };
		if (!fact.yes)
			break;
	}
	return fact;
}

/* A wildcard address stands for all devices; one that is of no use is said so, and keeps nobody away. */
static void open_all_devices(struct worker *worker)
{
	char why[LISTENER_WHY_MAX];
	int n = 0;
	struct ibv_context **all = rdma_get_devices(&n);

	for (int i = 0; all && i < n; i++)
		if (!device_get(rdma_of(worker), all[i], why, sizeof(why)))
			log_warning("worker %u: %s", worker->index, why);
	if (all)
		rdma_free_devices(all);
}

/* The device that has the address has to be of use. 0 or negative errno. */
static int listen_device(struct rdma_listener *rl)
{
	struct listener *listener = rl->listener;
	struct datapath_facts facts = { .rdma = true };
	char why[LISTENER_WHY_MAX];

	if (!rl->id->verbs) {
		open_all_devices(listener->worker);
	} else if (!device_get(rdma_of(listener->worker), rl->id->verbs, why, sizeof(why))) {
		listener_why(listener, "%s", why);
		return -EOPNOTSUPP;
	}
	facts.rdma_dmabuf = dmabuf_fact(listener->worker);
	listener_facts(listener, &facts);
	return 0;
}

int cm_listen(struct listener *listener)
{
	const struct config_listener *config = listener->config;
	struct rdma_listener *rl;
	struct sockaddr_storage ss;
	socklen_t len;
	int rc = address_parse(config->address, config->port, &ss, &len);

	if (rc)
		return rc;
	rc = channel_open(rdma_of(listener->worker));
	if (rc) {
		explain_channel(listener, &ss, -rc);
		return rc;
	}
	rl = calloc(1, sizeof(*rl));
	if (!rl)
		return -ENOMEM;
	rl->owner.event = listener_event;
	rl->listener = listener;
	if (rdma_create_id(rdma_of(listener->worker)->channel, &rl->id, &rl->owner, RDMA_PS_TCP)) {
		rc = -errno;
		free(rl);
		return rc;
	}
	rc = listen_bind(rl, &ss);
	if (!rc)
		rc = listen_device(rl);
	if (!rc && rdma_listen(rl->id, RDMA_BACKLOG))
		rc = -errno;
	listener->transport_data = rl;
	if (rc)
		cm_unlisten(listener);
	return rc;
}

void cm_unlisten(struct listener *listener)
{
	struct rdma_listener *rl = listener->transport_data;

	listener->transport_data = NULL;
	rdma_destroy_id(rl->id);
	free(rl);
}
