/* Look-ups in teachers' features, which are kept in half precision, for CPUs.

   A view is [levels, rows, columns, dim]; cell (i, j) is centred at ((i + .5) / rows, (j + .5) / columns). */
#include <math.h>
#include <stdint.h>
#include <string.h>
#ifdef __F16C__
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
typedef int64_t i64;

INLINE float from_half(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000) << 16, rest = (uint32_t)(half & 0x7fff) << 13, bits;
    float value;
    memcpy(&value, &rest, sizeof value);
    value *= 0x1p112f; /* moves the exponent from half's bias of 15 to 127; right for tiny numbers too */
    memcpy(&bits, &value, sizeof bits);
    bits = (half & 0x7c00) == 0x7c00 ? 0x7f800000u | rest : bits; /* infinity or not a number */
    bits |= sign;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Adds `weight` times a cell to `sum`. */
INLINE void add_cell(int dim, const uint16_t *restrict cell, float weight, float *restrict sum) {
    int i = 0;
#ifdef __F16C__
    __m256 factor = _mm256_set1_ps(weight);
    for (; i + 8 <= dim; i += 8) {
        __m256 values = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(cell + i)));
        _mm256_storeu_ps(sum + i, _mm256_add_ps(_mm256_loadu_ps(sum + i), _mm256_mul_ps(factor, values)));
    }
#endif
    for (; i < dim; i++) sum[i] += weight * from_half(cell[i]);
}

INLINE float squared_length(int dim, const float *restrict vector) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < dim; i++) sum += vector[i] * vector[i];
    return sum;
}

/* Weighted sum of four cells, each scaled to unit length or left out where it has none, if `scaled`. */
static void mix(int dim, const uint16_t *const cells[4], const float weights[4], int scaled, float *restrict sum) {
    memset(sum, 0, sizeof(float) * dim);
    for (int corner = 0; corner < 4; corner++) {
        float weight = weights[corner];
        if (scaled) {
            float alone[dim];
            memset(alone, 0, sizeof alone);
            add_cell(dim, cells[corner], 1.0f, alone);
            float square = squared_length(dim, alone);
            if (!(square > 0.0f) || !isfinite(square)) continue;
            weight /= sqrtf(square);
        }
        add_cell(dim, cells[corner], weight, sum);
    }
}

/* Bilinear look-up, constant beyond the outermost centres; out is [rays, levels, dim], of unit length or zero, valid is
   [rays, levels]. `order` lists the rays to look up, `views` says for each ray of the list which of `cells` it sees. */
void features_look_up(int threads, i64 count, const i64 *order, const i64 *views, const float *uv, int levels, int dim,
                      int normalised, const uint16_t *const *cells, const int *rows, const int *columns,
                      float *restrict out, uint8_t *restrict valid) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (i64 k = 0; k < count; k++) {
        i64 ray = order[k], high = rows[views[k]], wide = columns[views[k]];
        float x = uv[2 * ray] * (float)wide - 0.5f, y = uv[2 * ray + 1] * (float)high - 0.5f;
        x = x > 0.0f ? (x < (float)(wide - 1) ? x : (float)(wide - 1)) : 0.0f;
        y = y > 0.0f ? (y < (float)(high - 1) ? y : (float)(high - 1)) : 0.0f;
        i64 left = (i64)x, top = (i64)y, right = left + (left < wide - 1), bottom = top + (top < high - 1);
        float u = x - (float)left, v = y - (float)top;
        const float weights[4] = {(1.0f - v) * (1.0f - u), (1.0f - v) * u, v * (1.0f - u), v * u};
        const i64 places[4] = {top * wide + left, top * wide + right, bottom * wide + left, bottom * wide + right};
        for (int level = 0; level < levels; level++) {
            const uint16_t *of_level = cells[views[k]] + level * high * wide * dim, *four[4];
            for (int corner = 0; corner < 4; corner++) four[corner] = of_level + places[corner] * dim;
            float *to = out + (ray * levels + level) * dim;
            mix(dim, four, weights, !normalised, to);
            float square = squared_length(dim, to);
            if (!isfinite(square)) { /* a cell with what is not a number, which even a weight of zero would spread */
                mix(dim, four, weights, 1, to);
                square = squared_length(dim, to);
            }
            float factor = square > 0.0f ? 1.0f / sqrtf(square) : 0.0f;
#pragma omp simd
            for (int i = 0; i < dim; i++) to[i] *= factor;
            valid[ray * levels + level] = square > 0.0f;
        }
    }
}
