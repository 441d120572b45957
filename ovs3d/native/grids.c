/* Look-ups in feature grids, and the gradients of their entries, for CPUs.

   Every array is contiguous float32. Coordinates lie in [-1, 1] and are clamped to it. Work is divided so that no two
   threads write to the same entry and every sum is taken in the order of the points: results are the same for every
   number of threads. Gradients are added to what `into` holds. */
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define BLOCK 64 /* points that are looked up together */
typedef int64_t i64;

typedef struct {
    i64 low;    /* entry at or below the coordinate */
    float part; /* share of the next entry */
} Place;

/* Place among `entries` that span [-1, 1], the outermost ones at its ends. */
INLINE Place place(float x, int entries) {
    float at = (0.5f * x + 0.5f) * (float)(entries - 1);
    at = at > 0.0f ? at : 0.0f; /* also where x is NaN */
    at = at < (float)(entries - 1) ? at : (float)(entries - 1);
    int low = (int)at;
    low = low < entries - 2 ? low : entries - 2;
    return (Place){low, at - (float)low};
}

INLINE int threads(void) {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

/* ---- Products of three planes ---- */

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

INLINE void planes_forward_fixed(const int channels, i64 points, const float *restrict where, int levels,
                                 const int *restrict sides, const float *const *restrict grids,
                                 float *restrict factors, float *restrict out) {
#pragma omp parallel for schedule(static)
    for (i64 begin = 0; begin < points; begin += BLOCK) {
        int count = points - begin < BLOCK ? (int)(points - begin) : BLOCK;
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
                float *to = out + row * channels, *kept = factors + row * 3 * channels;
#pragma omp simd
                for (int c = 0; c < channels; c++) to[c] = found[0][i][c] * found[1][i][c] * found[2][i][c];
                if (factors)
                    for (int plane = 0; plane < 3; plane++)
                        memcpy(kept + plane * channels, found[plane][i], sizeof(float) * channels);
            }
        }
    }
}

INLINE void planes_backward_fixed(const int channels, i64 points, const float *restrict where, int levels,
                                  const int *restrict sides, const float *restrict factors,
                                  const float *restrict gradient, float *const *restrict into) {
#pragma omp parallel for schedule(dynamic)
    for (int task = 3 * levels - 1; task >= 0; task--) { /* the finest, which take longest, first */
        int level = task / 3, plane = task % 3, side = sides[level];
        int other = (plane + 1) % 3 * channels, third = (plane + 2) % 3 * channels;
        for (i64 i = 0; i < points; i++) {
            Corners at = corners(where + 3 * i, plane, side);
            float *a = into[level] + at.entry * channels, *b = a + (i64)side * channels;
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
}

/* grids[level] is [3, side, side, channels]; factors is [points, levels, 3, channels] or NULL;
   out is [points, levels, channels]. The channel counts that the methods use get loops of their own. */
void planes_forward(int channels, i64 points, const float *where, int levels, const int *sides,
                    const float *const *grids, float *factors, float *out) {
    if (channels == 8)
        planes_forward_fixed(8, points, where, levels, sides, grids, factors, out);
    else if (channels == 16)
        planes_forward_fixed(16, points, where, levels, sides, grids, factors, out);
    else
        planes_forward_fixed(channels, points, where, levels, sides, grids, factors, out);
}

void planes_backward(int channels, i64 points, const float *where, int levels, const int *sides, const float *factors,
                     const float *gradient, float *const *into) {
    if (channels == 8)
        planes_backward_fixed(8, points, where, levels, sides, factors, gradient, into);
    else if (channels == 16)
        planes_backward_fixed(16, points, where, levels, sides, factors, gradient, into);
    else
        planes_backward_fixed(channels, points, where, levels, sides, factors, gradient, into);
}

/* ---- Hash grids (Instant-NGP, arXiv 2201.05989, section 3) ---- */

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

/* tables[level] is [entries, channels]; out is [points, levels, channels]. The rows of several points are asked for
   before the first is read, because most of them are not in the processor's cache. */
INLINE void hash_forward_fixed(const int channels, i64 points, const float *restrict where, int levels,
                               const int *restrict sides, const int *restrict entries,
                               const float *const *restrict tables, float *restrict out) {
#pragma omp parallel for schedule(static)
    for (i64 begin = 0; begin < points; begin += BLOCK) {
        int count = points - begin < BLOCK ? (int)(points - begin) : BLOCK;
        Cell cells[BLOCK];
        for (int level = 0; level < levels; level++) {
            for (int i = 0; i < count; i++) {
                cells[i] = hash_cell(where + 3 * (begin + i), sides[level], (uint32_t)entries[level]);
                for (int corner = 0; corner < 8; corner++)
                    __builtin_prefetch(tables[level] + (i64)cells[i].row[corner] * channels);
            }
            for (int i = 0; i < count; i++) {
                float sum[channels];
                for (int c = 0; c < channels; c++) sum[c] = 0.0f;
                for (int corner = 0; corner < 8; corner++) {
                    const float *from = tables[level] + (i64)cells[i].row[corner] * channels;
#pragma omp simd
                    for (int c = 0; c < channels; c++) sum[c] += cells[i].weight[corner] * from[c];
                }
                memcpy(out + ((begin + i) * levels + level) * channels, sum, sizeof(float) * channels);
            }
        }
    }
}

INLINE void hash_backward_fixed(const int channels, i64 points, const float *restrict where, int levels,
                                const int *restrict sides, const int *restrict entries,
                                const float *restrict gradient, float *const *restrict into) {
    int parts = threads();
#pragma omp parallel for schedule(static)
    for (int part = 0; part < parts; part++) { /* each thread owns a part of the entries */
        Cell cells[BLOCK];
        for (int level = 0; level < levels; level++) {
            i64 first = (i64)entries[level] * part / parts, last = (i64)entries[level] * (part + 1) / parts;
            for (i64 begin = 0; begin < points; begin += BLOCK) {
                int count = points - begin < BLOCK ? (int)(points - begin) : BLOCK;
                for (int i = 0; i < count; i++) {
                    cells[i] = hash_cell(where + 3 * (begin + i), sides[level], (uint32_t)entries[level]);
                    for (int corner = 0; corner < 8; corner++)
                        __builtin_prefetch(into[level] + (i64)cells[i].row[corner] * channels, 1);
                }
                for (int i = 0; i < count; i++) {
                    const float *own = gradient + ((begin + i) * levels + level) * channels;
                    for (int corner = 0; corner < 8; corner++) {
                        if (cells[i].row[corner] < first || cells[i].row[corner] >= last) continue;
                        float *to = into[level] + (i64)cells[i].row[corner] * channels;
#pragma omp simd
                        for (int c = 0; c < channels; c++) to[c] += cells[i].weight[corner] * own[c];
                    }
                }
            }
        }
    }
}

void hash_forward(int channels, i64 points, const float *where, int levels, const int *sides, const int *entries,
                  const float *const *tables, float *out) {
    if (channels == 4)
        hash_forward_fixed(4, points, where, levels, sides, entries, tables, out);
    else
        hash_forward_fixed(channels, points, where, levels, sides, entries, tables, out);
}

void hash_backward(int channels, i64 points, const float *where, int levels, const int *sides, const int *entries,
                   const float *gradient, float *const *into) {
    if (channels == 4)
        hash_backward_fixed(4, points, where, levels, sides, entries, gradient, into);
    else
        hash_backward_fixed(channels, points, where, levels, sides, entries, gradient, into);
}

/* ---- Contraction ---- */

/* All of space into [-1, 1]^3: the cube [-1, 1]^3 keeps its shape and fills [-0.5, 0.5]^3. */
void contract(i64 points, const float *restrict where, float *restrict out) {
#pragma omp parallel for schedule(static)
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

/* ---- A dense grid of single numbers ---- */

/* grid is [side, side, side], z first; out is [points]. */
void dense_forward(i64 points, const float *where, int side, const float *grid, float *out) {
#pragma omp parallel for schedule(static)
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

void dense_backward(i64 points, const float *where, int side, const float *gradient, float *into) {
    int parts = threads();
#pragma omp parallel for schedule(static)
    for (int part = 0; part < parts; part++) { /* each thread owns some layers of z */
        i64 begin = (i64)side * part / parts, end = (i64)side * (part + 1) / parts;
        for (i64 i = 0; i < points; i++) {
            Place z = place(where[3 * i + 2], side);
            if (z.low + 1 < begin || z.low >= end) continue;
            Place x = place(where[3 * i], side), y = place(where[3 * i + 1], side);
            for (int corner = 0; corner < 4; corner++) {
                i64 layer = z.low + (corner >> 1), row = y.low + (corner & 1);
                if (layer < begin || layer >= end) continue;
                float share = gradient[i] * (corner >> 1 ? z.part : 1.0f - z.part);
                share *= corner & 1 ? y.part : 1.0f - y.part;
                float *to = into + (layer * side + row) * side + x.low;
                to[0] += share * (1.0f - x.part);
                to[1] += share * x.part;
            }
        }
    }
}
