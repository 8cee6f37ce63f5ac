/* The packed network on a processor: C interface. docs/cpu.md says how it works, bnn/cpu.py is its Python side.
 *
 * An engine is made from a packed model (network.h has the format). Every call gives 0, or 1 with one line of text in
 * `error`; none throws. An engine may be used from several threads, which then take turns.
 */
#ifndef BNN_ENGINE_H
#define BNN_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bnn_engine bnn_engine;

/* Room for an error with its final 0. */
#define BNN_ERROR_SIZE 256

/* `data`, `size`: a packed model, not needed after the call. `isa`: an instruction set of bnn_engine_isas, NULL for the
 * first of them. `threads`: that work on every inference; 0: as many as there are processors, fewer on few images of
 * little work, where one thread that has to wait for its processor would hold up the others. */
int bnn_engine_create(const void *data, size_t size, const char *isa, int threads, bnn_engine **engine,
                      char error[BNN_ERROR_SIZE]);

/* The same of a file. */
int bnn_engine_open(const char *path, const char *isa, int threads, bnn_engine **engine, char error[BNN_ERROR_SIZE]);

/* NULL does nothing. */
void bnn_engine_destroy(bnn_engine *engine);

size_t bnn_engine_image_bytes(const bnn_engine *engine);
size_t bnn_engine_classes(const bnn_engine *engine);

/* `images`: `count` of image_bytes each, (H, W, C), one behind the other. `scores`: `count` x classes. */
int bnn_engine_infer(bnn_engine *engine, const uint8_t *images, size_t count, int32_t *scores,
                     char error[BNN_ERROR_SIZE]);

/* Every layer's output for every image, trace_bytes each: of a hidden layer its planes of bits, a byte each,
 * (K, H, W, C), then its value, if it has one, int16 (H, W, C); of the last layer the int32 scores. */
int bnn_engine_trace(bnn_engine *engine, const uint8_t *images, size_t count, uint8_t *trace,
                     char error[BNN_ERROR_SIZE]);
size_t bnn_engine_trace_bytes(const bnn_engine *engine);

/* Bytes that the engine holds: weights, and the maps of the largest batch so far. */
size_t bnn_engine_memory(const bnn_engine *engine);

const char *bnn_engine_isa(const bnn_engine *engine);

/* The instruction sets that run here, separated by blanks, fastest first. */
const char *bnn_engine_isas(void);

/* Binary multiply-accumulates a second of XOR, popcount and add on registers, nothing read or written: what one
 * thread can reach with an instruction set that runs here, measured for about `seconds`. 0: there is no such set. */
double bnn_engine_peak(const char *isa, double seconds);

#ifdef __cplusplus
}
#endif

#endif
