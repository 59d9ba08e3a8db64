// The file: "QNHIST1\n", then text of the model's hash and of the data, factors, entries, and an FNV-1a of all bytes before it. Numbers
// are LEB128, floats and the checksum little endian, texts and lists begin with their length.
#include "quant/histograms.h"

#include <stdlib.h>
#include <string.h>

#include "quant/parallel.h"

static const char MAGIC[8] = "QNHIST1\n";
enum { KIND_EMPTY, KIND_SEEN, KIND_MOVED, MOST_ITEMS = 1 << 24 };
static const uint64_t MOST_COUNTED = 1ull << 56; // so that those of all files can be added

// ---- writing

typedef struct { FILE *file; uint64_t hash; } Writer;

static void put(Writer *writer, const void *data, size_t bytes) {
    const unsigned char *byte = data;
    for (size_t i = 0; i < bytes; i++) writer->hash = (writer->hash ^ byte[i]) * 0x100000001B3u;
    fwrite(data, 1, bytes, writer->file);
}

static void put_number(Writer *writer, uint64_t value) {
    unsigned char bytes[10];
    int count = 0;
    for (; value >= 128; value >>= 7) bytes[count++] = (unsigned char)(value | 128);
    bytes[count++] = (unsigned char)value;
    put(writer, bytes, (size_t)count);
}

static void put_fixed(Writer *writer, uint64_t value, int count) {
    unsigned char bytes[8];
    for (int i = 0; i < count; i++) bytes[i] = (unsigned char)(value >> (8 * i));
    put(writer, bytes, (size_t)count);
}

static void put_float(Writer *writer, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_fixed(writer, bits, 4);
}

static void put_text(Writer *writer, const char *text) {
    put_number(writer, strlen(text));
    put(writer, text, strlen(text));
}

static void put_observer(Writer *writer, const Observer *seen) {
    int first = 0, last = seen->bins ? BIN_COUNT : 0;
    put_float(writer, seen->min);
    put_float(writer, seen->max);
    put_number(writer, seen->count);
    put_number(writer, seen->zeros);
    put_number(writer, (uint64_t)(seen->exponent + 1024));
    while (first < last && !seen->bins[first]) first++;
    while (last > first && !seen->bins[last - 1]) last--;
    put_number(writer, (uint64_t)first);
    put_number(writer, (uint64_t)(last - first));
    for (int i = first; i < last; i++) put_number(writer, seen->bins[i]);
}

static Observer unpacked(const HistogramEntry *entry);
static bool has_values(const HistogramEntry *entry);

static void put_entry(Writer *writer, const HistogramEntry *entry) {
    put_text(writer, entry->name);
    put_number(writer, has_values(entry) ? KIND_SEEN : entry->moved >= 0 ? KIND_MOVED : KIND_EMPTY);
    if (entry->packed_count) {
        Observer seen = unpacked(entry);
        put_observer(writer, &seen);
        observer_close(&seen);
    } else if (entry->seen) {
        put_observer(writer, entry->seen);
    } else if (entry->moved >= 0) {
        put_number(writer, (uint64_t)entry->moved);
    }
}

void histograms_write(FILE *out, const Histograms *histograms) {
    Writer writer = {out, 0xCBF29CE484222325u};
    put(&writer, MAGIC, sizeof MAGIC);
    put_text(&writer, histograms->model_hash);
    put_text(&writer, histograms->data);
    put_number(&writer, (uint64_t)histograms->equalized_count);
    for (int i = 0; i < histograms->equalized_count; i++) {
        const ChannelFactors *own = &histograms->equalized[i];
        put_text(&writer, own->name);
        put_number(&writer, (uint64_t)own->count);
        for (int c = 0; c < own->count; c++) put_float(&writer, own->factors[c]);
    }
    put_number(&writer, (uint64_t)histograms->count);
    for (int i = 0; i < histograms->count; i++) put_entry(&writer, &histograms->entries[i]);
    put_fixed(&writer, writer.hash, 8);
}

// ---- reading

typedef struct {
    Arena *arena;
    const unsigned char *at, *end;
    bool good;
} Reader;

static uint64_t take_fixed(Reader *reader, int count) {
    uint64_t value = 0;
    if (reader->end - reader->at < count) return reader->good = false, 0;
    for (int i = 0; i < count; i++) value |= (uint64_t)*reader->at++ << (8 * i);
    return value;
}

static uint64_t take_number(Reader *reader) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        unsigned char byte = *reader->at++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return value;
    }
    return reader->good = false, 0;
}

// A count of what takes at least a byte each.
static int take_count(Reader *reader) {
    uint64_t count = take_number(reader);
    if (count <= MOST_ITEMS && count <= (uint64_t)(reader->end - reader->at)) return (int)count;
    return reader->good = false, 0;
}

// Of one of the `count` entries before.
static int take_index(Reader *reader, int count) {
    uint64_t index = take_number(reader);
    if (index < (uint64_t)count) return (int)index;
    return reader->good = false, -1;
}

static float take_float(Reader *reader) {
    uint32_t bits = (uint32_t)take_fixed(reader, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    if (value - value != 0) reader->good = false;
    return value;
}

static const char *take_text(Reader *reader) {
    int length = take_count(reader);
    char *text = arena_alloc(reader->arena, (size_t)length + 1);
    memcpy(text, reader->at, (size_t)length);
    reader->at += length;
    return text;
}

static void take_bins(Reader *reader, Observer *seen) {
    int first = (int)(take_number(reader) & (BIN_COUNT - 1)), count = take_count(reader);
    if (!count || !reader->good) return;
    if (first + count > BIN_COUNT) {
        reader->good = false;
        return;
    }
    uint64_t total = 0;
    observer_make_bins(seen);
    for (int i = 0; reader->good && i < count; i++) {
        const uint64_t own = seen->bins[first + i] = take_number(reader);
        if (own > seen->count - total) reader->good = false;
        total += own;
    }
    if (total != seen->count || seen->count > MOST_COUNTED || seen->zeros > seen->bins[BINS_PER_SIGN]) reader->good = false;
}

// To be closed.
static Observer take_observer(Reader *reader) {
    Observer seen;
    observer_open(&seen, true);
    seen.min = take_float(reader);
    seen.max = take_float(reader);
    seen.count = take_number(reader);
    seen.seen = seen.count > 0;
    seen.zeros = take_number(reader);
    uint64_t exponent = take_number(reader);
    if (exponent > 2048 || seen.min > seen.max || seen.zeros > seen.count || seen.count > MOST_COUNTED) reader->good = false;
    seen.exponent = (int)(exponent & 4095) - 1024;
    take_bins(reader, &seen);
    if (!seen.bins) seen.loose_zeros = seen.zeros;
    if (!seen.bins && (seen.min != 0 || seen.max != 0)) reader->good = false;
    if (seen.bins && !observer_is_sound(&seen)) reader->good = false;
    return seen;
}

static void take_packed(Reader *reader, HistogramEntry *entry) {
    entry->packed[0] = (PackedObserver){reader->at, reader->end};
    entry->packed_count = 1;
    Observer seen = take_observer(reader);
    observer_close(&seen);
}

static bool has_values(const HistogramEntry *entry) { return entry->seen || entry->packed_count; }

// What is packed in all files; to be closed. It was read before, when the files were.
static Observer unpacked(const HistogramEntry *entry) {
    Observer all;
    observer_open(&all, true);
    for (int i = 0; i < entry->packed_count; i++) {
        Reader reader = {NULL, entry->packed[i].at, entry->packed[i].end, true};
        Observer own = take_observer(&reader);
        observer_merge(&all, &own);
        observer_close(&own);
    }
    observer_settle(&all);
    return all;
}

static void take_factors(Reader *reader, Histograms *histograms) {
    histograms->equalized_count = take_count(reader);
    ChannelFactors *factors = ARENA_ARRAY(reader->arena, ChannelFactors, histograms->equalized_count + 1);
    histograms->equalized = factors;
    for (int i = 0; reader->good && i < histograms->equalized_count; i++) {
        factors[i].name = take_text(reader);
        factors[i].count = take_count(reader);
        float *own = ARENA_ARRAY(reader->arena, float, factors[i].count + 1);
        factors[i].factors = own;
        for (int c = 0; reader->good && c < factors[i].count; c++) own[c] = take_float(reader);
    }
}

static void take_entries(Reader *reader, Histograms *histograms) {
    int count = take_count(reader);
    if (count > MOST_TENSORS) reader->good = false, count = 0;
    histograms->entries = ARENA_ARRAY(reader->arena, HistogramEntry, count + 1);
    for (int i = 0; reader->good && i < count; i++) {
        HistogramEntry *entry = &histograms->entries[i];
        *entry = (HistogramEntry){.name = take_text(reader), .moved = -1};
        histograms->count = i + 1;
        uint64_t kind = take_number(reader);
        if (kind == KIND_SEEN) take_packed(reader, entry);
        else if (kind == KIND_MOVED) entry->moved = take_index(reader, i);
        if (kind > KIND_MOVED) reader->good = false;
    }
}

bool is_histograms_file(const char *path) {
    char magic[sizeof MAGIC];
    FILE *file = fopen(path, "rb");
    bool is = file && fread(magic, 1, sizeof magic, file) == sizeof magic && !memcmp(magic, MAGIC, sizeof magic);
    if (file) fclose(file);
    return is;
}

Histograms *histograms_read(Arena *arena, Diag *diag, const char *path, const void *data, size_t bytes) {
    Histograms *histograms = ARENA_NEW(arena, Histograms);
    Reader reader = {arena, data, (const unsigned char *)data + bytes, bytes >= sizeof MAGIC + 8};
    uint64_t hash = 0xCBF29CE484222325u;
    if (reader.good) reader.end -= 8;
    for (const unsigned char *at = reader.at; reader.good && at < reader.end; at++) hash = (hash ^ *at) * 0x100000001B3u;
    Reader checksum = {arena, reader.end, reader.end + 8, true};
    if (!reader.good || take_fixed(&checksum, 8) != hash || memcmp(data, MAGIC, sizeof MAGIC))
        return diag_error(diag, loc_file(path), "is no whole file of histograms, as `qanat calibrate --histograms` writes them"), NULL;
    reader.at += sizeof MAGIC;
    histograms->model_hash = take_text(&reader);
    histograms->data = take_text(&reader);
    take_factors(&reader, histograms);
    take_entries(&reader, histograms);
    if (reader.good && reader.at == reader.end) return histograms;
    return diag_error(diag, loc_file(path), "the file of histograms is damaged"), NULL;
}

// ---- joining

bool factors_agree(int count, const ChannelFactors *a, int other_count, const ChannelFactors *b) {
    if (count != other_count) return false;
    for (int i = 0; i < count; i++)
        if (strcmp(a[i].name, b[i].name) || a[i].count != b[i].count || memcmp(a[i].factors, b[i].factors, sizeof(float) * (size_t)a[i].count))
            return false;
    return true;
}

bool histograms_join(Arena *arena, Diag *diag, const char *path, Histograms *into, const Histograms *from) {
    bool same = into->count == from->count;
    for (int i = 0; same && i < into->count; i++)
        same = !strcmp(into->entries[i].name, from->entries[i].name) && has_values(&into->entries[i]) == has_values(&from->entries[i]) &&
               into->entries[i].moved == from->entries[i].moved;
    if (!same || strcmp(into->model_hash, from->model_hash))
        return diag_error(diag, loc_file(path), "is of another model than the first file");
    if (!factors_agree(into->equalized_count, into->equalized, from->equalized_count, from->equalized))
        return diag_error(diag, loc_file(path), "has other factors of channels (equalize) than the first file; calibrate each with --equalize none, "
                          "or all with the same --calibration");
    for (int i = 0; i < into->count; i++)
        for (int k = 0; k < from->entries[i].packed_count; k++) into->entries[i].packed[into->entries[i].packed_count++] = from->entries[i].packed[k];
    into->data = arena_printf(arena, "%s + %s", into->data, from->data);
    return true;
}

// ---- tables, tensors dealt to threads

typedef struct {
    const Histograms *histograms;
    const MethodOptions *options;
    const CalibrationMethod *methods;
    const int *order; // of the entries that were seen
    int seen_count;
    Clip *clips; // [method][entry]
} Clipping;

static bool clip_one(void *context, int worker, int task, char *message) {
    const Clipping *work = context;
    const int count = work->histograms->count, i = task % count;
    const HistogramEntry *entry = &work->histograms->entries[i];
    (void)worker;
    if (!has_values(entry)) return true;
    Observer joined = {0};
    if (entry->packed_count) joined = unpacked(entry);
    const bool done = calibration_clip(entry->packed_count ? &joined : entry->seen, work->methods[task / count], work->options, entry->name,
                                       work->order[i], work->seen_count, &work->clips[task], message);
    observer_close(&joined);
    return done;
}

static void fill_table(Arena *arena, const Histograms *histograms, const Clip *clips, CalibrationTable *table) {
    table->count = histograms->count;
    table->entries = ARENA_ARRAY(arena, CalibrationEntry, histograms->count + 1);
    for (int i = 0; i < histograms->count; i++) {
        const HistogramEntry *from = &histograms->entries[i];
        CalibrationEntry *entry = &table->entries[i];
        // In f32, as the table is written: reading it back gives the same numbers.
        if (has_values(from)) *entry = (CalibrationEntry){.threshold = (float)clips[i].threshold, .min = (float)clips[i].min, .max = (float)clips[i].max};
        else if (from->moved >= 0) *entry = table->entries[from->moved];
        entry->name = arena_strdup(arena, from->name);
    }
}

bool histograms_tables(Arena *arena, Diag *diag, const char *file, const Histograms *histograms, const MethodOptions *options, int count,
                       const CalibrationMethod *methods, int threads, CalibrationTable *tables) {
    int *order = ARENA_ARRAY(arena, int, histograms->count + 1), seen_count = 0, failed;
    char message[MESSAGE_BYTES];
    for (int i = 0; i < histograms->count; i++) {
        order[i] = seen_count;
        seen_count += has_values(&histograms->entries[i]);
    }
    Clipping work = {histograms, options, methods, order, seen_count, ARENA_ARRAY(arena, Clip, (int64_t)count * histograms->count + 1)};
    if (!parallel_samples(threads, count * histograms->count, clip_one, &work, &failed, message))
        return diag_error(diag, loc_file(file), "%s", message);
    for (int m = 0; m < count; m++) {
        tables[m].method = calibration_method_text(arena, methods[m], options);
        tables[m].data = histograms->data;
        fill_table(arena, histograms, work.clips + (int64_t)m * histograms->count, &tables[m]);
    }
    return true;
}
