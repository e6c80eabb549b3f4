// SPDX-License-Identifier: GPL-2.0
/*
 * kmem and sockets that wait to be accepted: they are charged to the group of
 * the listening socket until a task accepts them, and to that task's group from
 * then on. Clients cannot fill a group beyond its limit, and a group that is
 * given another one's listening socket pays for what it accepts.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../kselftest_harness.h"
#include "bc_util.h"
#include "kmem_util.h"

#define CONNECTIONS 20
/* A TCP socket is larger, and all else that accept(2) makes is smaller. */
#define SOCKET 2048

static void __attribute__((constructor)) choose_controller(void)
{
	bc_controller = "kmem";
	bc_bytes = true;
}

/* Work */

/* What a worker listens at: inherited, where the test has opened it. */
static int listener = -1;

static int listen_tcp(int backlog)
{
	struct sockaddr_in name = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && !bind(fd, (void *)&name, sizeof(name)) &&
	    !listen(fd, backlog))
		return fd;
	close(fd);
	return -1;
}

static long port_of(int fd)
{
	struct sockaddr_in name;
	socklen_t len = sizeof(name);

	return getsockname(fd, (void *)&name, &len) ? -errno :
						      ntohs(name.sin_port);
}

/* Returns the port. */
static long start_listening(long backlog)
{
	listener = listen_tcp(backlog);
	return keep(listener) ?: port_of(listener);
}

/* Closed with a reset, so that nothing is left of it. */
static int client_socket(void)
{
	static const struct linger reset = { .l_onoff = 1 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	return fd;
}

static int start_connecting(int fd, long port)
{
	struct sockaddr_in name = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(port),
	};

	if (!connect(fd, (void *)&name, sizeof(name)) || errno == EINPROGRESS)
		return 0;
	return -errno;
}

static int clients[CONNECTIONS];

static long connect_all(long port)
{
	long err = 0;
	int i;

	for (i = 0; i < CONNECTIONS && !err; i++) {
		clients[i] = client_socket();
		err = keep(clients[i]) ?: start_connecting(clients[i], port);
	}
	return err;
}

/* Accepts @most at most: how many there were, or why there was none. */
static long accept_some(long most)
{
	long n, err = 0;

	for (n = 0; n < most && !err; n++)
		err = keep(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	if (!err)
		return n;
	return n > 1 || err == -EAGAIN ? n - 1 : err;
}

/*
 * Has @w accept @n connections: how many there were. Where interrupts are put off, the
 * kernel makes them later than connect(2) returns.
 */
static long accept_all(struct worker *w, long n)
{
	long accepted = 0, more = 0;

	bc_soon((more = call(w, accept_some, n - accepted)) < 0 ||
		(accepted += more) >= n);
	return more < 0 ? more : accepted;
}

/* Tests */

FIXTURE(kmem_sock)
{
	char *top;
	char *group;		/* listens */
	char *other;		/* accepts */
	char *clients;		/* connect */
	struct worker *server;
	struct worker *client;
	long port;
	long long before;	/* usage of the group that listens, idle */
};

FIXTURE_VARIANT(kmem_sock)
{
	bool v2;
};

FIXTURE_VARIANT_ADD(kmem_sock, v1) { .v2 = false };
FIXTURE_VARIANT_ADD(kmem_sock, v2) { .v2 = true };

FIXTURE_SETUP(kmem_sock)
{
	if (bc_missing())
		SKIP(return, "%s", bc_why);
	self->top = bc_setup(variant->v2);
	ASSERT_NE(NULL, self->top)
		TH_LOG("%s", bc_why);
	self->group = cg_new(self->top, "group");
	self->other = cg_new(self->top, "other");
	self->clients = cg_new(self->top, "clients");
	ASSERT_TRUE(self->group && self->other && self->clients);
	self->server = root_in(self->group);
	self->client = root_in(self->clients);
	ASSERT_TRUE(self->server && self->client);
	/* The first time leaves larger tables behind. */
	self->port = call(self->server, start_listening, CONNECTIONS);
	ASSERT_LT(0, self->port);
	ASSERT_EQ(0, call(self->client, connect_all, self->port));
	ASSERT_EQ(CONNECTIONS, accept_all(self->server, CONNECTIONS));
	ASSERT_EQ(0, call(self->client, close_all, 0));
	ASSERT_EQ(0, call(self->server, close_all, 0));
	self->port = call(self->server, start_listening, CONNECTIONS);
	ASSERT_LT(0, self->port);
	self->before = quiet(self->group);
}

FIXTURE_TEARDOWN(kmem_sock)
{
	bc_teardown();
}

/* How much more the group that listens has than without a connection. */
#define waiting() (cg_get(self->group, "usage") - self->before)

#define EXPECT_ALL_RETURNED() do {					\
	worker_end(self->client);					\
	worker_end(self->server);					\
	EXPECT_SOON(0, beyond(self->group, 0));				\
	EXPECT_SOON(0, beyond(self->other, 0));				\
	EXPECT_SOON(0, beyond(self->clients, 0));			\
	EXPECT_SOON(0, beyond(self->top, 0));				\
} while (0)

/* Catches: sockets that are charged to no group until they are accepted. */
TEST_F(kmem_sock, listener_pays_for_its_queue)
{
	long long queued;

	ASSERT_EQ(0, call(self->client, connect_all, self->port));
	ASSERT_TRUE(bc_soon(waiting() >= CONNECTIONS * SOCKET));
	queued = quiet(self->group);
	/* What accept(2) adds is a file; the socket was charged before. */
	EXPECT_EQ(CONNECTIONS, accept_all(self->server, CONNECTIONS));
	EXPECT_GT(queued + CONNECTIONS * SOCKET, cg_get(self->group, "usage"));
	EXPECT_LT(queued, cg_get(self->group, "usage"));
	EXPECT_EQ(0, call(self->client, close_all, 0));
	EXPECT_EQ(0, call(self->server, close_all, 0));
	EXPECT_EQ(0, cg_key(self->group, "events", "forced"));
	EXPECT_ALL_RETURNED();
}

/* No task accepts them: they go with the listening socket. */
TEST_F(kmem_sock, queue_goes_with_its_listener)
{
	ASSERT_EQ(0, call(self->client, connect_all, self->port));
	ASSERT_TRUE(bc_soon(waiting() >= CONNECTIONS * SOCKET));
	EXPECT_EQ(0, call(self->server, close_all, 0));
	EXPECT_TRUE(bc_soon(beyond(self->group, self->before) == 0));
	EXPECT_EQ(0, call(self->client, close_all, 0));
	EXPECT_ALL_RETURNED();
}

/*
 * Catches: a charge past the limit, a refusal that is told to the wrong group,
 * a connection that is lost for good.
 */
TEST_F(kmem_sock, queue_stops_at_the_limit)
{
	long long limit = self->before + 4 * SOCKET;
	long long refusals = cg_refusals(self->group);
	long long theirs = cg_refusals(self->clients);

	ASSERT_EQ(0, cg_write(self->group, "barrier", "max"));
	ASSERT_EQ(0, cg_set(self->group, "limit", limit));
	ASSERT_EQ(0, call(self->client, connect_all, self->port));
	EXPECT_TRUE(bc_soon(cg_refusals(self->group) > refusals));
	EXPECT_GE(limit, cg_get(self->group, "usage"));
	EXPECT_EQ(0, cg_key(self->group, "events", "forced"));
	EXPECT_EQ(theirs, cg_refusals(self->clients));
	ASSERT_EQ(0, call(self->server, accept_some, 0));

	/* Clients try again, and get through when there is room. */
	ASSERT_EQ(0, cg_write(self->group, "limit", "max"));
	EXPECT_EQ(CONNECTIONS, accept_all(self->server, CONNECTIONS));
	EXPECT_EQ(0, call(self->server, accept_some, 1));
	EXPECT_EQ(0, call(self->client, close_all, 0));
	EXPECT_EQ(0, call(self->server, close_all, 0));
	EXPECT_ALL_RETURNED();
}

/*
 * Catches: clients that take what is above the barrier, since what they need is
 * allocated from the machine's reserves.
 */
TEST_F(kmem_sock, queue_stops_at_the_barrier)
{
	long long barrier = self->before + 4 * SOCKET;
	long long refusals = cg_key(self->group, "events", "barrier");

	ASSERT_EQ(0, cg_set(self->group, "limit", self->before + MIB(1)));
	ASSERT_EQ(0, cg_set(self->group, "barrier", barrier));
	ASSERT_EQ(0, call(self->client, connect_all, self->port));
	EXPECT_TRUE(bc_soon(cg_key(self->group, "events", "barrier") >
			    refusals));
	EXPECT_GE(barrier, cg_get(self->group, "usage"));
	EXPECT_EQ(0, cg_key(self->group, "events", "forced"));
	EXPECT_EQ(0, call(self->client, close_all, 0));
	EXPECT_EQ(0, call(self->server, close_all, 0));
	EXPECT_ALL_RETURNED();
}

/* The task that listens was moved: its new group pays for what it accepts. */
TEST_F(kmem_sock, accepting_group_pays)
{
	long long one, usage;
	int accepted;

	ASSERT_EQ(0, call(self->client, connect_all, self->port));
	ASSERT_TRUE(bc_soon(waiting() >= CONNECTIONS * SOCKET));
	ASSERT_TRUE(worker_move(self->server, self->other));

	usage = quiet(self->other);
	ASSERT_EQ(1, call(self->server, accept_some, 1));
	one = cg_get(self->other, "usage") - usage;
	EXPECT_LT(SOCKET, one);
	EXPECT_GT(CONNECTIONS * one, waiting());

	/* Without room for all of it, connections stay where they are. */
	usage = quiet(self->other);
	ASSERT_EQ(0, cg_set(self->other, "limit", usage + one - 1));
	EXPECT_EQ(-ENOMEM, call(self->server, accept_some, 1));
	ASSERT_SOON(0, cg_set(self->other, "limit", usage));
	accepted = call(self->server, accept_some, 1);
	EXPECT_TRUE(accepted == -ENOMEM || accepted == -ENFILE)
		TH_LOG("%d", accepted);
	EXPECT_SOON(usage, cg_get(self->other, "usage"));
	EXPECT_EQ(0, cg_key(self->other, "events", "forced"));
	ASSERT_EQ(0, cg_write(self->other, "limit", "max"));
	EXPECT_EQ(CONNECTIONS - 1, accept_all(self->server, CONNECTIONS - 1));
	EXPECT_EQ(0, call(self->server, accept_some, 1));

	/* The group that listens has nothing of them any more. */
	EXPECT_TRUE(bc_soon(beyond(self->group, self->before) == 0));
	EXPECT_LT(usage + (CONNECTIONS - 1) * SOCKET,
		  cg_get(self->other, "usage"));
	EXPECT_EQ(0, call(self->client, close_all, 0));
	EXPECT_EQ(0, call(self->server, close_all, 0));
	EXPECT_ALL_RETURNED();
}

/* A group is removed while sockets wait, and others come. */
TEST_F(kmem_sock, group_of_a_listener_is_removed)
{
	long long usage;

	ASSERT_EQ(0, call(self->client, connect_all, self->port));
	ASSERT_TRUE(bc_soon(waiting() >= CONNECTIONS * SOCKET));
	ASSERT_TRUE(worker_move(self->server, self->other));
	EXPECT_SOON(0, cg_rmdir(self->group));
	/* Some of the queue makes room for others. */
	EXPECT_EQ(CONNECTIONS, accept_all(self->server, CONNECTIONS));
	EXPECT_LT(CONNECTIONS * SOCKET, cg_get(self->other, "usage"));
	EXPECT_EQ(0, call(self->client, close_all, 0));
	usage = quiet(self->top);
	ASSERT_EQ(0, call(self->client, connect_all, self->port));
	EXPECT_TRUE(bc_soon(cg_get(self->top, "usage") - usage >=
			    2 * CONNECTIONS * SOCKET));
	worker_kill(self->client);
	worker_kill(self->server);
	EXPECT_SOON(0, beyond(self->other, 0));
	EXPECT_SOON(0, beyond(self->clients, 0));
	EXPECT_SOON(0, beyond(self->top, 0));
}

/* The root group's queue is on no account. A group that accepts pays. */
TEST_F(kmem_sock, listener_of_the_root_group)
{
	struct worker *w;
	long long usage;

	listener = listen_tcp(CONNECTIONS);
	ASSERT_LE(0, listener);
	w = root_in(self->other);
	ASSERT_NE(NULL, w);
	usage = quiet(self->other);
	ASSERT_EQ(0, call(self->client, connect_all, port_of(listener)));
	EXPECT_GE(usage, quiet(self->other));
	EXPECT_EQ(self->before, quiet(self->group));
	EXPECT_EQ(CONNECTIONS, accept_all(w, CONNECTIONS));
	EXPECT_LT(usage + CONNECTIONS * SOCKET, cg_get(self->other, "usage"));
	EXPECT_EQ(0, call(self->client, close_all, 0));
	worker_end(w);
	close(listener);
	listener = -1;
	EXPECT_ALL_RETURNED();
}

static const struct sockaddr_un local = {
	.sun_family = AF_UNIX, .sun_path = "\0bc_kmem_sock",
};

static int local_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static long start_listening_local(long backlog)
{
	listener = local_socket();
	return keep(listener) ?:
	       bind(listener, (void *)&local, sizeof(local)) ? -errno :
	       listen(listener, backlog) ? -errno : 0;
}

static long connect_local(long n)
{
	long err = 0;
	int fd;

	while (n-- > 0 && !err) {
		fd = local_socket();
		err = keep(fd) ?: connect(fd, (void *)&local, sizeof(local)) ?
				  -errno : 0;
	}
	return err;
}

/* With AF_UNIX the task that connects makes both sockets, and pays for both. */
TEST_F(kmem_sock, local_clients_pay)
{
	long long before, theirs;

	ASSERT_EQ(0, call(self->server, start_listening_local, CONNECTIONS));
	before = quiet(self->group);
	theirs = quiet(self->clients);
	ASSERT_EQ(0, call(self->client, connect_local, CONNECTIONS));
	EXPECT_GE(before, quiet(self->group));
	theirs = cg_get(self->clients, "usage") - theirs;
	EXPECT_LT(CONNECTIONS * 2 * 1024, theirs);
	/* Refused, that is the clients' matter. */
	EXPECT_EQ(0, call(self->client, close_all, 0));
	ASSERT_EQ(0, call(self->server, close_all, 0));
	ASSERT_EQ(0, call(self->server, start_listening_local, CONNECTIONS));
	ASSERT_EQ(0, cg_set(self->clients, "limit", quiet(self->clients)));
	EXPECT_GT(0, call(self->client, connect_local, 1));
	ASSERT_EQ(0, cg_write(self->clients, "limit", "max"));
	EXPECT_EQ(0, call(self->client, close_all, 0));
	EXPECT_EQ(0, call(self->server, close_all, 0));
	EXPECT_ALL_RETURNED();
}

static long connect_and_reset(long port)
{
	int rounds = bc_rounds(400), fd;

	while (rounds--) {
		fd = client_socket();
		/* At a limit there may be none. */
		if (fd >= 0)
			start_connecting(fd, port);
		close(fd);
	}
	return 0;
}

static volatile long *stop;

static long accept_and_close(long unused)
{
	(void)unused;
	while (!*stop) {
		struct pollfd pfd = { .fd = listener, .events = POLLIN };

		if (poll(&pfd, 1, 10) > 0)
			close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	}
	return 0;
}

/*
 * Clients come and go, at the listener's limit and at that of the group that
 * accepts, which changes. Catches: a socket that is returned twice or never.
 */
TEST_F(kmem_sock, races)
{
	struct worker *more[2];
	int i;

	stop = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)stop);
	listener = listen_tcp(CONNECTIONS);
	for (i = 0; i < 2; i++) {
		more[i] = root_in(i ? self->other : self->clients);
		ASSERT_NE(NULL, more[i]);
	}
	ASSERT_EQ(0, cg_set(self->group, "limit", self->before + 4 * SOCKET));
	/* One that inherits the listener, and one that makes its own. */
	start(more[1], accept_and_close, 0);
	start(self->client, connect_and_reset, self->port);
	start(more[0], connect_and_reset, port_of(listener));
	for (i = 0; i < bc_rounds(40); i++) {
		cg_set(self->other, "limit", i % 2 ? BC_UNLIMITED :
					     cg_get(self->other, "usage"));
		call(self->server, accept_some, CONNECTIONS);
		if (i % 8 == 7)
			call(self->server, close_all, 0);
		if (i % 8 == 7 && cg_write(self->group, "limit", "max") == 0)
			call(self->server, start_listening, CONNECTIONS);
	}
	EXPECT_EQ(0, finish(more[0]));
	EXPECT_EQ(0, finish(self->client));
	*stop = 1;
	EXPECT_EQ(0, finish(more[1]));
	for (i = 0; i < 2; i++)
		worker_end(more[i]);
	close(listener);
	EXPECT_ALL_RETURNED();
}

TEST_HARNESS_MAIN
