/* Look-ups in feature grids, and the gradients of their entries, for CPUs.

   Every array is contiguous float32. Coordinates lie in [-1, 1] and are clamped to it. Work is divided so that no two
   threads write to the same entry and every sum is taken in the order of the points: results are the same for every
   number of threads. Gradients are added to what `into` holds.

   The inner parts are inlined with a constant number of channels where the methods' own numbers ask for it; that must
   happen inside of the parallel loops, which compilers move into functions of their own before they inline. */
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define BLOCK 64 /* points that are looked up together */
typedef int64_t i64;

typedef struct {
    i64 low;    /* entry at or below the coordinate */
    float part; /* share of the next entry */
} Place;

/* Place among `entries` >= 2 that span [-1, 1], the outermost ones at its ends. */
INLINE Place place(float x, int entries) {
    float at = (0.5f * x + 0.5f) * (float)(entries - 1);
    at = at > 0.0f ? at : 0.0f; /* also where x is NaN */
    at = at < (float)(entries - 1) ? at : (float)(entries - 1);
    int low = (int)at;
    low = low < entries - 2 ? low : entries - 2;
    return (Place){low, at - (float)low};
}

INLINE int block_size(i64 points, i64 begin) {
    return points - begin < BLOCK ? (int)(points - begin) : BLOCK;
}

/* ---- Products of three planes: grids[level] is [3, side, side, channels] ---- */

static const int COLUMN[3] = {0, 0, 1}, ROW[3] = {1, 2, 2}; /* coordinates that each plane sees */

typedef struct {
    i64 entry; /* first of the two entries in the upper row */
    float weight[4];
} Corners;

INLINE Corners corners(const float *point, int plane, int side) {
    Place u = place(point[COLUMN[plane]], side), v = place(point[ROW[plane]], side);
    float left = 1.0f - u.part, upper = 1.0f - v.part;
    i64 entry = ((i64)plane * side + v.low) * side + u.low;
    return (Corners){entry, {left * upper, u.part * upper, left * v.part, u.part * v.part}};
}

INLINE void planes_forward_block(const int channels, i64 begin, int count, const float *restrict where, int levels,
                                 const int *restrict sides, const float *const *restrict grids,
                                 float *restrict factors, float *restrict out) {
    float found[3][BLOCK][channels];
    Corners at[BLOCK];
    for (int level = 0; level < levels; level++) {
        int side = sides[level];
        for (int plane = 0; plane < 3; plane++) {
            for (int i = 0; i < count; i++) {
                at[i] = corners(where + 3 * (begin + i), plane, side);
                __builtin_prefetch(grids[level] + at[i].entry * channels);
                __builtin_prefetch(grids[level] + (at[i].entry + side) * channels);
            }
            for (int i = 0; i < count; i++) {
                const float *a = grids[level] + at[i].entry * channels, *b = a + (i64)side * channels;
                float *to = found[plane][i];
#pragma omp simd
                for (int c = 0; c < channels; c++)
                    to[c] = at[i].weight[0] * a[c] + at[i].weight[1] * a[channels + c] + at[i].weight[2] * b[c] +
                            at[i].weight[3] * b[channels + c];
            }
        }
        for (int i = 0; i < count; i++) {
            i64 row = (begin + i) * levels + level;
            float *to = out + row * channels;
#pragma omp simd
            for (int c = 0; c < channels; c++) to[c] = found[0][i][c] * found[1][i][c] * found[2][i][c];
            for (int plane = 0; factors && plane < 3; plane++)
                memcpy(factors + (row * 3 + plane) * channels, found[plane][i], sizeof(float) * channels);
        }
    }
}

INLINE void planes_backward_plane(const int channels, int level, int plane, i64 points, const float *restrict where,
                                  int levels, int side, const float *restrict factors,
                                  const float *restrict gradient, float *restrict into) {
    int other = (plane + 1) % 3 * channels, third = (plane + 2) % 3 * channels;
    for (i64 i = 0; i < points; i++) {
        Corners at = corners(where + 3 * i, plane, side);
        float *a = into + at.entry * channels, *b = a + (i64)side * channels;
        const float *own = gradient + (i * levels + level) * channels;
        const float *rest = factors + (i * levels + level) * 3 * channels;
        float share[channels];
#pragma omp simd
        for (int c = 0; c < channels; c++) share[c] = own[c] * rest[other + c] * rest[third + c];
#pragma omp simd
        for (int c = 0; c < channels; c++) a[c] += at.weight[0] * share[c];
#pragma omp simd
        for (int c = 0; c < channels; c++) a[channels + c] += at.weight[1] * share[c];
#pragma omp simd
        for (int c = 0; c < channels; c++) b[c] += at.weight[2] * share[c];
#pragma omp simd
        for (int c = 0; c < channels; c++) b[channels + c] += at.weight[3] * share[c];
    }
}

/* factors is [points, levels, 3, channels] or NULL, out is [points, levels, channels]. */
void planes_forward(int threads, int channels, i64 points, const float *where, int levels, const int *sides,
                    const float *const *grids, float *factors, float *out) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (i64 begin = 0; begin < points; begin += BLOCK) {
        int count = block_size(points, begin);
        if (channels == 8)
            planes_forward_block(8, begin, count, where, levels, sides, grids, factors, out);
        else if (channels == 16)
            planes_forward_block(16, begin, count, where, levels, sides, grids, factors, out);
        else
            planes_forward_block(channels, begin, count, where, levels, sides, grids, factors, out);
    }
}

void planes_backward(int threads, int channels, i64 points, const float *where, int levels, const int *sides,
                     const float *factors, const float *gradient, float *const *into) {
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int task = 3 * levels - 1; task >= 0; task--) { /* the finest, which take longest, first */
        int level = task / 3, plane = task % 3, side = sides[level];
        float *to = into[level];
        if (channels == 8)
            planes_backward_plane(8, level, plane, points, where, levels, side, factors, gradient, to);
        else if (channels == 16)
            planes_backward_plane(16, level, plane, points, where, levels, side, factors, gradient, to);
        else
            planes_backward_plane(channels, level, plane, points, where, levels, side, factors, gradient, to);
    }
}

/* ---- Hash grids (Instant-NGP, arXiv 2201.05989, section 3): tables[level] is [entries, channels] ---- */

typedef struct {
    uint32_t row[8];
    float weight[8];
} Cell;

/* `entries` of the level is a power of two, unless it holds all of its (side + 1)^3 nodes. */
INLINE Cell hash_cell(const float *point, int side, uint32_t entries) {
    uint32_t low[3];
    float part[3];
    for (int axis = 0; axis < 3; axis++) {
        float at = 0.5f * point[axis] + 0.5f;
        at = at > 0.0f ? at : 0.0f;
        at = (at < 1.0f - 1e-6f ? at : 1.0f - 1e-6f) * (float)side;
        low[axis] = (uint32_t)at;
        part[axis] = at - (float)low[axis];
    }
    uint32_t nodes = (uint32_t)side + 1;
    int dense = (i64)nodes * nodes * nodes == (i64)entries;
    uint32_t y_factor = dense ? nodes : 2654435761u, z_factor = dense ? nodes * nodes : 805459861u;
    Cell cell;
    for (int corner = 0; corner < 8; corner++) {
        int x = corner >> 2, y = corner >> 1 & 1, z = corner & 1;
        uint32_t a = low[0] + x, b = (low[1] + y) * y_factor, c = (low[2] + z) * z_factor;
        cell.row[corner] = dense ? a + b + c : (a ^ b ^ c) & (entries - 1);
        cell.weight[corner] = (x ? part[0] : 1.0f - part[0]) * (y ? part[1] : 1.0f - part[1]) *
                              (z ? part[2] : 1.0f - part[2]);
    }
    return cell;
}

/* The rows of all points are asked for before the first is read: most of them are not in the processor's cache. */
INLINE void hash_forward_block(const int channels, i64 begin, int count, const float *restrict where, int level,
                               int levels, int side, uint32_t entries, const float *restrict table,
                               float *restrict out) {
    Cell cells[BLOCK];
    for (int i = 0; i < count; i++) {
        cells[i] = hash_cell(where + 3 * (begin + i), side, entries);
        for (int corner = 0; corner < 8; corner++) __builtin_prefetch(table + (i64)cells[i].row[corner] * channels);
    }
    for (int i = 0; i < count; i++) {
        float sum[channels];
        for (int c = 0; c < channels; c++) sum[c] = 0.0f;
        for (int corner = 0; corner < 8; corner++) {
            const float *from = table + (i64)cells[i].row[corner] * channels;
#pragma omp simd
            for (int c = 0; c < channels; c++) sum[c] += cells[i].weight[corner] * from[c];
        }
        memcpy(out + ((begin + i) * levels + level) * channels, sum, sizeof(float) * channels);
    }
}

/* Adds to the rows from `first` to before `last` alone. */
INLINE void hash_backward_block(const int channels, i64 begin, int count, const float *restrict where, int level,
                                int levels, int side, uint32_t entries, i64 first, i64 last,
                                const float *restrict gradient, float *restrict into) {
    Cell cells[BLOCK];
    for (int i = 0; i < count; i++) {
        cells[i] = hash_cell(where + 3 * (begin + i), side, entries);
        for (int corner = 0; corner < 8; corner++)
            if (cells[i].row[corner] >= first && cells[i].row[corner] < last)
                __builtin_prefetch(into + (i64)cells[i].row[corner] * channels, 1);
    }
    for (int i = 0; i < count; i++) {
        const float *own = gradient + ((begin + i) * levels + level) * channels;
        for (int corner = 0; corner < 8; corner++) {
            if (cells[i].row[corner] < first || cells[i].row[corner] >= last) continue;
            float *to = into + (i64)cells[i].row[corner] * channels;
#pragma omp simd
            for (int c = 0; c < channels; c++) to[c] += cells[i].weight[corner] * own[c];
        }
    }
}

/* out is [points, levels, channels]. */
void hash_forward(int threads, int channels, i64 points, const float *where, int levels, const int *sides,
                  const int *entries, const float *const *tables, float *out) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (i64 begin = 0; begin < points; begin += BLOCK)
        for (int level = 0; level < levels; level++) {
            int count = block_size(points, begin), side = sides[level];
            uint32_t rows = (uint32_t)entries[level];
            if (channels == 4)
                hash_forward_block(4, begin, count, where, level, levels, side, rows, tables[level], out);
            else
                hash_forward_block(channels, begin, count, where, level, levels, side, rows, tables[level], out);
        }
}

void hash_backward(int threads, int channels, i64 points, const float *where, int levels, const int *sides,
                   const int *entries, const float *gradient, float *const *into) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int part = 0; part < threads; part++) /* each thread owns a part of the entries */
        for (int level = 0; level < levels; level++) {
            int side = sides[level];
            uint32_t rows = (uint32_t)entries[level];
            i64 first = (i64)rows * part / threads, last = (i64)rows * (part + 1) / threads;
            float *to = into[level];
            for (i64 begin = 0; begin < points; begin += BLOCK) {
                int count = block_size(points, begin);
                if (channels == 4)
                    hash_backward_block(4, begin, count, where, level, levels, side, rows, first, last, gradient, to);
                else
                    hash_backward_block(channels, begin, count, where, level, levels, side, rows, first, last,
                                        gradient, to);
            }
        }
}

/* ---- Contraction of all space into [-1, 1]^3: [-1, 1]^3 keeps its shape and fills [-0.5, 0.5]^3 ---- */

void contract(int threads, i64 points, const float *restrict where, float *restrict out) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (i64 i = 0; i < points; i++) {
        float radius = 1.0f;
        for (int axis = 0; axis < 3; axis++) {
            float size = where[3 * i + axis] < 0.0f ? -where[3 * i + axis] : where[3 * i + axis];
            radius = size > radius ? size : radius;
        }
        float factor = (2.0f - 1.0f / radius) / radius * 0.5f;
        for (int axis = 0; axis < 3; axis++) out[3 * i + axis] = where[3 * i + axis] * factor;
    }
}

/* ---- A dense grid of single numbers: [side, side, side], z first ---- */

void dense_forward(int threads, i64 points, const float *where, int side, const float *grid, float *out) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (i64 i = 0; i < points; i++) {
        Place x = place(where[3 * i], side), y = place(where[3 * i + 1], side), z = place(where[3 * i + 2], side);
        const float *at = grid + (z.low * side + y.low) * side + x.low;
        float line[4];
        for (int corner = 0; corner < 4; corner++) {
            const float *pair = at + ((i64)(corner >> 1) * side + (corner & 1)) * side;
            line[corner] = pair[0] + x.part * (pair[1] - pair[0]);
        }
        float front = line[0] + y.part * (line[1] - line[0]), back = line[2] + y.part * (line[3] - line[2]);
        out[i] = front + z.part * (back - front);
    }
}

void dense_backward(int threads, i64 points, const float *where, int side, const float *gradient, float *into) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int part = 0; part < threads; part++) { /* each thread owns some layers of z */
        i64 first = (i64)side * part / threads, last = (i64)side * (part + 1) / threads;
        for (i64 i = 0; i < points; i++) {
            Place z = place(where[3 * i + 2], side);
            if (z.low + 1 < first || z.low >= last) continue;
            Place x = place(where[3 * i], side), y = place(where[3 * i + 1], side);
            for (int corner = 0; corner < 4; corner++) {
                i64 layer = z.low + (corner >> 1), row = y.low + (corner & 1);
                if (layer < first || layer >= last) continue;
                float share = gradient[i] * (corner >> 1 ? z.part : 1.0f - z.part);
                share *= corner & 1 ? y.part : 1.0f - y.part;
                float *to = into + (layer * side + row) * side + x.low;
                to[0] += share * (1.0f - x.part);
                to[1] += share * x.part;
            }
        }
    }
}
