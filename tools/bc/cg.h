/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cg.h - cgroups as the tools see them: hierarchies, groups, files
 *
 * Functions that can fail return -1 or NULL and leave a sentence for the user in
 * cg_why(). All paths of groups begin with a slash, from the root of their
 * hierarchy as this process sees it.
 */
#ifndef CG_H
#define CG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CG_VERSION	"0.2"

/* One mounted hierarchy. */
struct cg_hier {
	int version;		/* 1 or 2 */
	char *mount;		/* where it is mounted */
	char *top;		/* the group that is seen there: mostly "/" */
	char *options;		/* v1: its controllers are among these words */
	int fd;			/* of the folder */
};

/* What /proc/cgroups says of one controller. */
struct cg_controller {
	char name[32];
	int hierarchy;		/* 0: v2, or none */
	bool enabled;
};

struct cg {
	const char *root;	/* a folder to take for "/", or "" */
	struct cg_hier *hiers;
	size_t nr_hiers;
	struct cg_controller *controllers;
	size_t nr_controllers;
};

enum cg_name {
	CG_ANY,			/* guess from how it looks */
	CG_SELF,
	CG_PATH,
	CG_PID,
	CG_UNIT,
	CG_CONTAINER,
};

/* Exit statuses of the tools that set something. */
enum cg_exit {
	CG_OK,
	CG_REFUSED,		/* the kernel refused a value; nothing has changed */
	CG_USAGE,		/* the command line, or a value, makes no sense */
	CG_NO_GROUP,		/* there is no such group, unit, container, PID */
	CG_NO_CONTROLLER,	/* not there, or it cannot be switched on */
	CG_CHANGED,		/* failed, and taking it back failed as well */
};

/* The sentence on what failed last. */
const char *cg_why(void);
int cg_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* asprintf() that does not return without memory. */
char *cg_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

int cg_init(struct cg *cg, const char *root);
void cg_exit(struct cg *cg);

struct cg_hier *cg_hier_v2(struct cg *cg);
struct cg_hier *cg_hier_of(struct cg *cg, const char *controller);
bool cg_has_word(const char *text, const char *word);

/* The path of a group, to be freed. */
char *cg_find(struct cg *cg, struct cg_hier *hier, enum cg_name kind,
	      const char *name);
char *cg_find_unit(struct cg *cg, struct cg_hier *hier, const char *unit);
char *cg_find_container(struct cg *cg, struct cg_hier *hier, const char *name);
int cg_open(struct cg_hier *hier, const char *path);

/* Names of the groups directly below, sorted; NULL-terminated, to be freed. */
char **cg_children(int dirfd);
void cg_free_list(char **list);

/* v1's and v2's word for the same file: finds the one that is there. */
char *cg_file(int dirfd, const char *name);

/* io.c, or fake.c in the tests: a file as a string; one write(2). */
char *cg_read(int dirfd, const char *name);
int cg_write(int dirfd, const char *name, const char *text);

/*
 * set.c: all of it or nothing. @settings are strings FILE=VALUE. Returns one of
 * enum cg_exit, with the sentence in cg_why() where it is not CG_OK.
 */
struct cg_set {
	struct cg *cg;
	enum cg_name kind;
	const char *name;
	bool dry;			/* write nothing */
	void (*say)(const char *what);	/* each step, or NULL */
};

int cg_set(const struct cg_set *set, char **settings, size_t nr);
int cg_enable(const struct cg_set *set, char **controllers, size_t nr);

#endif
