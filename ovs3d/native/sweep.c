/* The plane sweep over photographs, for CPUs: every pixel of a view is looked up in other views at a row of distances,
   and the patches around it are correlated, with the constants of plane_sweep.py. Pictures are [rows, columns], row by
   row. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define ALONE static __attribute__((noinline)) /* inside of a parallel region loops are not vectorised */
#define RADIUS 2
typedef struct { int rows, columns; } size2;

/* fmaxf and fminf mind what is not a number, and are not vectorised. */
INLINE float larger(float a, float b) { return a > b ? a : b; }
INLINE float smaller(float a, float b) { return a < b ? a : b; }
INLINE float clamp(float value, float low, float high) { return smaller(larger(value, low), high); }

/* Means over the patch around every pixel, clipped to the picture; `across` has room for one picture. */
ALONE void patch_mean(size2 size, const float *restrict picture, float *restrict across, float *restrict mean) {
    const int rows = size.rows, columns = size.columns;
    for (int row = 0; row < rows; row++) {
        const float *from = picture + row * columns;
        float *to = across + row * columns;
        for (int column = 0; column < columns; column++) {
            if (column >= RADIUS && column < columns - RADIUS) continue;
            int first = column > RADIUS ? column - RADIUS : 0;
            int last = column < columns - 1 - RADIUS ? column + RADIUS : columns - 1;
            float sum = 0.0f;
            for (int i = first; i <= last; i++) sum += from[i];
            to[column] = sum / (float)(last - first + 1);
        }
#pragma omp simd
        for (int column = RADIUS; column < columns - RADIUS; column++)
            to[column] = 0.2f * (from[column - 2] + from[column - 1] + from[column] + from[column + 1] + from[column + 2]);
    }
    for (int row = 0; row < rows; row++) {
        int first = row > RADIUS ? row - RADIUS : 0, last = row < rows - 1 - RADIUS ? row + RADIUS : rows - 1;
        float *to = mean + row * columns, factor = 1.0f / (float)(last - first + 1);
        memset(to, 0, sizeof(float) * columns);
        for (int i = first; i <= last; i++) {
            const float *from = across + i * columns;
#pragma omp simd
            for (int column = 0; column < columns; column++) to[column] += from[column];
        }
#pragma omp simd
        for (int column = 0; column < columns; column++) to[column] *= factor;
    }
}

/* Bilinear look-up of the points `turned + between * disparity` of another view's axes; 0 outside of the picture. */
ALONE void look_up(size2 size, const float *restrict turned, const float *restrict between, float disparity,
                    const float *restrict intrinsics, const float *restrict k, const float *restrict grey,
                    float *restrict found, float *restrict seen) {
    const int rows = size.rows, columns = size.columns, count = rows * columns;
    const float cx = intrinsics[2], cy = intrinsics[3];
    const float k1 = k[0], k2 = k[1], k3 = k[2], k4 = k[3], p1 = k[4], p2 = k[5];
    const float wide = (float)columns, high = (float)rows, fx = intrinsics[0], fy = intrinsics[1];
    const float dx = between[0] * disparity, dy = between[1] * disparity, dz = between[2] * disparity;
#pragma omp simd
    for (int i = 0; i < count; i++) {
        float depth = -(turned[2 * count + i] + dz), inverse = 1.0f / larger(depth, 1e-6f);
        float x = (turned[i] + dx) * inverse, y = -(turned[count + i] + dy) * inverse;
        int inside = (depth > 1e-3f) & (fabsf(fx * x) < wide) & (fabsf(fy * y) < high);
        float square = x * x + y * y;
        float radial = 1.0f + square * (k1 + square * (k2 + square * (k3 + square * k4)));
        float bent_x = x * radial + 2.0f * p1 * x * y + p2 * (square + 2.0f * x * x);
        float bent_y = y * radial + 2.0f * p2 * x * y + p1 * (square + 2.0f * y * y);
        float u = fx * bent_x + cx, v = fy * bent_y + cy; /* in pixels, from the corner */
        seen[i] = inside & (u > 0.0f) & (u < wide) & (v > 0.0f) & (v < high) ? 1.0f : 0.0f;
        u = clamp(inside ? u - 0.5f : -2.0f, -2.0f, wide + 1.0f), v = clamp(v - 0.5f, -2.0f, high + 1.0f);
        float left = floorf(u), top = floorf(v), a = u - left, b = v - top;
        int column = (int)left, row = (int)top;
        float w0 = (column >= 0) & (column < columns) ? 1.0f - a : 0.0f;
        float w1 = (column >= -1) & (column < columns - 1) ? a : 0.0f;
        float h0 = (row >= 0) & (row < rows) ? 1.0f - b : 0.0f;
        float h1 = (row >= -1) & (row < rows - 1) ? b : 0.0f;
        int c0 = column < 0 ? 0 : (column >= columns ? columns - 1 : column);
        int c1 = column < -1 ? 0 : (column >= columns - 1 ? columns - 1 : column + 1);
        int r0 = (row < 0 ? 0 : (row >= rows ? rows - 1 : row)) * columns;
        int r1 = (row < -1 ? 0 : (row >= rows - 1 ? rows - 1 : row + 1)) * columns;
        found[i] = h0 * (w0 * grey[r0 + c0] + w1 * grey[r0 + c1]) + h1 * (w0 * grey[r1 + c0] + w1 * grey[r1 + c1]);
    }
}

/* Puts scores among the `kept` best ones of every pixel, which stand in falling order; `score` is used up. */
ALONE void keep(int count, int kept, float *restrict best, float *restrict score) {
    for (int place = 0; place < kept; place++, best += count) {
#pragma omp simd
        for (int i = 0; i < count; i++) {
            float held = best[i], carried = score[i];
            best[i] = larger(held, carried);
            score[i] = smaller(held, carried);
        }
    }
}

/* Correlation of patches from the means of both pictures, of their squares and of their product; -1 where not seen. */
ALONE void correlate(int count, const float *restrict own_mean, const float *restrict own_variance,
                     const float *restrict mean, const float *restrict square, const float *restrict both,
                     const float *restrict seen, float *restrict score) {
#pragma omp simd
    for (int i = 0; i < count; i++) {
        float variance = larger(square[i] - mean[i] * mean[i], 0.0f) + 1e-4f;
        float found = (both[i] - own_mean[i] * mean[i]) / sqrtf(own_variance[i] * variance);
        score[i] = seen[i] > 0.0f ? found : -1.0f;
    }
}

ALONE void multiply(int count, const float *restrict a, const float *restrict b, float *restrict product) {
#pragma omp simd
    for (int i = 0; i < count; i++) product[i] = a[i] * b[i];
}

ALONE void mean_of_rows(int count, int rows, const float *restrict values, float *restrict mean) {
#pragma omp simd
    for (int i = 0; i < count; i++) mean[i] = values[i] / (float)rows;
    for (int row = 1; row < rows; row++) {
        values += count;
#pragma omp simd
        for (int i = 0; i < count; i++) mean[i] += values[i] / (float)rows;
    }
}

/* Mean of the `kept` best correlations with `others` views at every plane; out is [planes, rows, columns].

   `turned` is [others, 3, rows, columns], `between` [others, 3], `intrinsics` [others, 4], `distortion` [others, 6],
   `grey` [others, rows, columns]; what lies outside of another view has the correlation -1. */
void sweep_scores(int threads, int planes, int rows, int columns, int others, int kept, const float *first,
                  const float *turned, const float *between, const float *disparities, const float *intrinsics,
                  const float *distortion, const float *grey, float *restrict out) {
    const size2 size = {rows, columns};
    const int count = rows * columns;
    float *own = malloc(sizeof(float) * 3 * count); /* mean and variance of the patches, and room */
    float *own_mean = own, *own_variance = own + count;
    {
        float *room = own + 2 * count, *square = malloc(sizeof(float) * count);
        patch_mean(size, first, room, own_mean);
        multiply(count, first, first, square);
        patch_mean(size, square, room, own_variance);
        for (int i = 0; i < count; i++)
            own_variance[i] = larger(own_variance[i] - own_mean[i] * own_mean[i], 0.0f) + 1e-4f;
        free(square);
    }
#pragma omp parallel num_threads(threads)
    {
        float *room = malloc(sizeof(float) * count * (7 + kept));
        float *found = room, *seen = room + count, *product = room + 2 * count, *across = room + 3 * count;
        float *mean = room + 4 * count, *square = room + 5 * count, *both = room + 6 * count, *best = room + 7 * count;
#pragma omp for schedule(static)
        for (int plane = 0; plane < planes; plane++) {
            for (int i = 0; i < kept * count; i++) best[i] = -INFINITY;
            for (int other = 0; other < others; other++) {
                look_up(size, turned + 3 * other * count, between + 3 * other, disparities[plane],
                        intrinsics + 4 * other, distortion + 6 * other, grey + other * count, found, seen);
                patch_mean(size, found, across, mean);
                multiply(count, found, found, product);
                patch_mean(size, product, across, square);
                multiply(count, found, first, product);
                patch_mean(size, product, across, both);
                correlate(count, own_mean, own_variance, mean, square, both, seen, product);
                keep(count, kept, best, product);
            }
            mean_of_rows(count, kept, best, out + (int64_t)plane * count);
        }
        free(room);
    }
    free(own);
}
