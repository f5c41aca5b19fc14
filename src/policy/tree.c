/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/tree.h"

#include <errno.h>
#include <string.h>
#include <yaml.h>

#include "base/array.h"
#include "policy/words.h"

struct node {
	const json_t *json;
	struct place place, key;
	bool plain;
};

struct tree {
	json_t *root;
	struct node *nodes; /* sorted by json */
	size_t n_nodes;
};

struct anchor {
	char *name;
	json_t *json; /* borrowed: of the tree, or of what becomes part of it */
	unsigned height; /* lists and mappings inside each other, itself counted */
};

struct builder {
	bool aliases; /* they are taken */
	struct anchor *anchors;
	size_t n_anchors;
	yaml_parser_t parser;
	struct tree *tree;
	const char *text, *name;
	size_t length;
	unsigned depth;
	unsigned height; /* of the highest that was built since the list or mapping around it began */
	struct error *error;
};

static struct place place_of(yaml_mark_t mark)
{
	return (struct place){ (unsigned)mark.line + 1, (unsigned)mark.column + 1 };
}

/* Columns count characters, as libyaml does. */
static struct place place_of_offset(const char *text, size_t offset)
{
	struct place place = { 1, 1 };

	for (size_t i = 0; i < offset; i++) {
		if (text[i] == '\n')
			place = (struct place){ place.line + 1, 1 };
		else if ((text[i] & 0xc0) != 0x80)
			place.column++;
	}
	return place;
}

static int error_at(const struct builder *b, struct place place, const char *format, ...) _printf_(3, 4);
static int error_at(const struct builder *b, struct place place, const char *format, ...)
{
	char text[sizeof(b->error->text)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return error_set(b->error, EINVAL, "%.200s:%u:%u: %.700s", b->name, place.line, place.column, text);
}

/* What libyaml found wrong. */
static int yaml_error(const struct builder *b)
{
	const yaml_parser_t *parser = &b->parser;
	const char *context = parser->context ? parser->context : "";

	switch (parser->error) {
	case YAML_MEMORY_ERROR:
		return error_memory(b->error);
	case YAML_READER_ERROR:
		return error_at(b, place_of_offset(b->text, parser->problem_offset), "this is not plain UTF-8 text: %s",
				parser->problem);
	default:
		return error_at(b, place_of(parser->problem_mark), "this is not YAML: %s%s%s", parser->problem,
				*context ? " " : "", context);
	}
}

static int event_next(struct builder *b, yaml_event_t *event)
{
	return yaml_parser_parse(&b->parser, event) ? 0 : yaml_error(b);
}

/* The tree takes the new json over, also on failure: it is then freed. */
static int node_add(struct builder *b, json_t *json, struct node what, json_t **ret)
{
	struct node *node;

	if (!json)
		return error_memory(b->error);
	if (b->tree->n_nodes >= TREE_NODES_MAX) {
		json_decref(json);
		return error_at(b, what.place, "the document has too many parts: at most %u", TREE_NODES_MAX);
	}
	node = ARRAY_ADD(b->tree->nodes, b->tree->n_nodes);
	if (!node) {
		json_decref(json);
		return error_memory(b->error);
	}
	*node = what;
	node->json = json;
	*ret = json;
	return 0;
}

static const char *anchor_of(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return (const char *)event->data.alias.anchor;
	case YAML_SCALAR_EVENT:
		return (const char *)event->data.scalar.anchor;
	case YAML_SEQUENCE_START_EVENT:
		return (const char *)event->data.sequence_start.anchor;
	case YAML_MAPPING_START_EVENT:
		return (const char *)event->data.mapping_start.anchor;
	default:
		return NULL;
	}
}

static const char *tag_of(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return (const char *)event->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return (const char *)event->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return (const char *)event->data.mapping_start.tag;
	default:
		return NULL;
	}
}

/* Anchors, aliases and tags: YAML has them, the policy document does not. */
static int properties_check(const struct builder *b, const yaml_event_t *event)
{
	const char *anchor = anchor_of(event), *tag = tag_of(event);

	if (event->type == YAML_ALIAS_EVENT && !b->aliases)
		return error_at(b, place_of(event->start_mark),
				"aliases (*name) are not used here: write the value out");
	if (anchor && !b->aliases)
		return error_at(b, place_of(event->start_mark), "anchors (&name) are not used here: take it out");
	if (tag)
		return error_at(b, place_of(event->start_mark), "tags (!name) are not used here: take it out");
	return 0;
}

static int build(struct builder *b, const yaml_event_t *event, const struct place *key, json_t **ret);

static int build_scalar(struct builder *b, const yaml_event_t *event, const struct place *key, json_t **ret)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;
	struct node node = {
		.place = place_of(event->start_mark),
		.key = *key,
		.plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE,
	};

	if (memchr(text, '\0', length))
		return error_at(b, node.place, "this text holds a NUL character");
	return node_add(b, json_stringn_nocheck(text, length), node, ret);
}

static int build_list(struct builder *b, const yaml_event_t *start, const struct place *key, json_t **ret)
{
	json_t *list = NULL;
	int r = node_add(b, json_array(), (struct node){ .place = place_of(start->start_mark), .key = *key }, &list);

	while (r >= 0) {
		json_t *item = NULL;
		yaml_event_t event;
		bool end;

		r = event_next(b, &event);
		if (r < 0)
			break;
		end = event.type == YAML_SEQUENCE_END_EVENT;
		if (!end)
			r = build(b, &event, &(struct place){ 0 }, &item);
		yaml_event_delete(&event);
		if (end) {
			*ret = list;
			return 0;
		}
		if (r >= 0 && json_array_append_new(list, item) < 0)
			r = error_memory(b->error);
	}
	json_decref(list);
	return r;
}

/* A key and its value into the mapping. */
static int build_pair(struct builder *b, const yaml_event_t *event, json_t *map)
{
	const char *key = (const char *)event->data.scalar.value;
	struct place place = place_of(event->start_mark);
	char shown[WORD_SHOW_MAX];
	json_t *item = NULL;
	yaml_event_t value;
	int r = properties_check(b, event);

	if (r < 0)
		return r;
	if (event->type != YAML_SCALAR_EVENT)
		return error_at(b, place, "a key has to be one word");
	if (memchr(key, '\0', event->data.scalar.length))
		return error_at(b, place, "this key holds a NUL character");
	if (json_object_get(map, key))
		return error_at(b, place, "the key '%s' is here twice", word_show(key, shown));
	r = event_next(b, &value);
	if (r < 0)
		return r;
	r = build(b, &value, &place, &item);
	yaml_event_delete(&value);
	if (r >= 0 && json_object_set_new_nocheck(map, key, item) < 0)
		r = error_memory(b->error);
	return r;
}

static int build_map(struct builder *b, const yaml_event_t *start, const struct place *key, json_t **ret)
{
	json_t *map = NULL;
	int r = node_add(b, json_object(), (struct node){ .place = place_of(start->start_mark), .key = *key }, &map);

	while (r >= 0) {
		yaml_event_t event;
		bool end;

		r = event_next(b, &event);
		if (r < 0)
			break;
		end = event.type == YAML_MAPPING_END_EVENT;
		if (!end)
			r = build_pair(b, &event, map);
		yaml_event_delete(&event);
		if (end) {
			*ret = map;
			return 0;
		}
	}
	json_decref(map);
	return r;
}

static int too_deep(const struct builder *b, const yaml_event_t *event)
{
	return error_at(b, place_of(event->start_mark), "lists and mappings inside each other: more than %d deep",
			TREE_DEPTH_MAX);
}

static const struct anchor *find_anchor(const struct builder *b, const char *name)
{
	for (size_t i = b->n_anchors; i-- > 0;)
		if (strcmp(b->anchors[i].name, name) == 0)
			return &b->anchors[i];
	return NULL;
}

/* The node itself, once more. One that is not whole yet is not known: nothing holds itself. */
static int build_alias(struct builder *b, const yaml_event_t *event, json_t **ret)
{
	const struct anchor *anchor = find_anchor(b, anchor_of(event));
	char shown[WORD_SHOW_MAX];

	if (!anchor)
		return error_at(b, place_of(event->start_mark), "there is no anchor &%s before this alias",
				word_show(anchor_of(event), shown));
	if (b->depth + anchor->height > TREE_DEPTH_MAX)
		return too_deep(b, event);
	if (anchor->height > b->height)
		b->height = anchor->height;
	*ret = json_incref(anchor->json);
	return 0;
}

static int note_anchor(struct builder *b, const yaml_event_t *event, json_t *json, unsigned height)
{
	struct anchor *anchor;

	if (b->n_anchors >= TREE_ANCHORS_MAX)
		return error_at(b, place_of(event->start_mark), "more than %d anchors", TREE_ANCHORS_MAX);
	anchor = ARRAY_ADD(b->anchors, b->n_anchors);
	if (!anchor)
		return error_memory(b->error);
	*anchor = (struct anchor){ strdup(anchor_of(event)), json, height };
	if (anchor->name)
		return 0;
	b->n_anchors--;
	return error_memory(b->error);
}

/* *ret_height: of a list or mapping. */
static int build_node(struct builder *b, const yaml_event_t *event, const struct place *key, json_t **ret,
		      unsigned *ret_height)
{
	unsigned outer = b->height;
	int r;

	if (event->type == YAML_ALIAS_EVENT)
		return build_alias(b, event, ret);
	if (event->type == YAML_SCALAR_EVENT)
		return build_scalar(b, event, key, ret);
	if (b->depth >= TREE_DEPTH_MAX)
		return too_deep(b, event);
	b->depth++;
	b->height = 0;
	r = event->type == YAML_SEQUENCE_START_EVENT ? build_list(b, event, key, ret) : build_map(b, event, key, ret);
	b->depth--;
	*ret_height = b->height + 1;
	b->height = outer > *ret_height ? outer : *ret_height;
	return r;
}

static int build(struct builder *b, const yaml_event_t *event, const struct place *key, json_t **ret)
{
	json_t *json = NULL;
	unsigned height = 0;
	int r = properties_check(b, event);

	if (r >= 0)
		r = build_node(b, event, key, &json, &height);
	if (r >= 0 && event->type != YAML_ALIAS_EVENT && anchor_of(event))
		r = note_anchor(b, event, json, height);
	if (r < 0) {
		json_decref(json);
		return r;
	}
	*ret = json;
	return 0;
}

/* The events of the stream: one document, or none. */
static int build_stream(struct builder *b)
{
	bool seen = false;

	for (;;) {
		yaml_event_t event;
		yaml_event_type_t type;
		int r = event_next(b, &event);

		if (r < 0)
			return r;
		type = event.type;
		if (type == YAML_DOCUMENT_START_EVENT && seen)
			r = error_at(b, place_of(event.start_mark),
				     "a second document begins here: there can be only one");
		else if (type == YAML_DOCUMENT_START_EVENT)
			seen = true;
		else if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_END_EVENT &&
			 type != YAML_STREAM_END_EVENT)
			r = build(b, &event, &(struct place){ 0 }, &b->tree->root);
		yaml_event_delete(&event);
		if (r < 0 || type == YAML_STREAM_END_EVENT)
			return r;
	}
}

/* What libyaml would refuse with less clear words, or take, or spend long on (many %TAG lines). */
static int text_check(const struct builder *b)
{
	const char *nul = memchr(b->text, '\0', b->length), *end = b->text + b->length;

	if (nul)
		return error_at(b, place_of_offset(b->text, (size_t)(nul - b->text)), "the text holds a NUL character");
	for (const char *line = b->text; line && line < end;) {
		const char *at = line;

		while (at < end && *at == ' ')
			at++;
		if (at < end && *at == '\t')
			return error_at(b, place_of_offset(b->text, (size_t)(at - b->text)),
					"a tab cannot indent YAML: use spaces");
		if (*line == '%')
			return error_at(b, place_of_offset(b->text, (size_t)(line - b->text)),
					"a line cannot begin with %%: YAML directives are not used here");
		line = memchr(at, '\n', (size_t)(end - at));
		line = line ? line + 1 : NULL;
	}
	return 0;
}

static int compare_nodes(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return x->json < y->json ? -1 : x->json > y->json;
}

/* Fills what the builder does not know yet, and empties it. */
static int tree_build(struct builder builder, struct tree **ret)
{
	_cleanup_(tree_freep) struct tree *tree = NULL;
	struct builder b = builder;
	struct error *error = b.error;
	const char *text = b.text, *name = b.name;
	size_t length = b.length;
	int r;

	if (length > POLICY_TEXT_MAX)
		return error_set(error, E2BIG, "%.200s: the document has %zu bytes; at most %u are read", name, length,
				 POLICY_TEXT_MAX);
	if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
		b.text += 3;
		b.length -= 3;
	}
	r = text_check(&b);
	if (r < 0)
		return r;
	tree = b.tree = calloc(1, sizeof(*tree));
	if (!tree || !yaml_parser_initialize(&b.parser))
		return error_memory(error);
	yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)b.text, b.length);
	r = build_stream(&b);
	yaml_parser_delete(&b.parser);
	for (size_t i = 0; i < b.n_anchors; i++)
		free(b.anchors[i].name);
	free(b.anchors);
	if (r < 0)
		return r;
	if (tree->n_nodes > 0)
		qsort(tree->nodes, tree->n_nodes, sizeof(*tree->nodes), compare_nodes);
	*ret = TAKE_PTR(tree);
	return 0;
}

int tree_parse(const char *text, size_t length, const char *name, struct tree **ret, struct error *error)
{
	return tree_build((struct builder){ .text = text, .length = length, .name = name, .error = error }, ret);
}

int tree_parse_aliases(const char *text, size_t length, const char *name, struct tree **ret, struct error *error)
{
	return tree_build(
		(struct builder){ .text = text, .length = length, .name = name, .error = error, .aliases = true }, ret);
}

struct tree *tree_free(struct tree *tree)
{
	if (!tree)
		return NULL;
	json_decref(tree->root);
	free(tree->nodes);
	free(tree);
	return NULL;
}

json_t *tree_root(const struct tree *tree)
{
	return tree->root && tree_is_null(tree, tree->root) ? NULL : tree->root;
}

static const struct node *node_of(const struct tree *tree, const json_t *json)
{
	struct node key = { .json = json };

	return bsearch(&key, tree->nodes, tree->n_nodes, sizeof(key), compare_nodes);
}

struct place tree_place(const struct tree *tree, const json_t *node)
{
	const struct node *found = node_of(tree, node);

	return found ? found->place : (struct place){ 0 };
}

struct place tree_key_place(const struct tree *tree, const json_t *node)
{
	const struct node *found = node_of(tree, node);

	return found ? found->key : (struct place){ 0 };
}

bool tree_is_plain(const struct tree *tree, const json_t *node)
{
	const struct node *found = node_of(tree, node);

	return found && found->plain;
}

bool tree_is_null(const struct tree *tree, const json_t *node)
{
	static const char *const words[] = { "", "~", "null", "Null", "NULL" };

	if (!json_is_string(node) || !tree_is_plain(tree, node))
		return false;
	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (strcmp(json_string_value(node), words[i]) == 0)
			return true;
	return false;
}

/* The string in the node that is the word, after *skip others that are. */
static const json_t *find_word(json_t *node, const char *word, unsigned *skip)
{
	const json_t *found = NULL;
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_string(node))
		return strcmp(json_string_value(node), word) == 0 && (*skip)-- == 0 ? node : NULL;
	json_array_foreach(node, i, item) {
		found = find_word(item, word, skip);
		if (found)
			return found;
	}
	json_object_foreach(node, key, item) {
		found = find_word(item, word, skip);
		if (found)
			return found;
	}
	return NULL;
}

struct place tree_find(const struct tree *tree, struct place entry, const char *word, unsigned skip)
{
	for (size_t i = 0; *word && i < tree->n_nodes; i++) {
		const struct node *node = &tree->nodes[i];
		const json_t *found;

		if (!json_is_object(node->json) || node->place.line != entry.line || node->place.column != entry.column)
			continue;
		found = find_word((json_t *)node->json, word, &skip);
		if (found)
			return tree_place(tree, found);
	}
	return entry;
}
