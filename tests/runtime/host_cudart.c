/* libcudart on the processor: memory is the host's, a stream is done at once, an event is the time it was recorded.
   A graph cannot hold what a test does in Python, so capturing is allowed and launching counts. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#define API __attribute__((visibility("default")))
static int live = 0, launched = 0, capturing = 0;
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec / 1e6; }
static int make(void **out, size_t size) { *out = calloc(1, size ? size : 1); live++; return *out ? 0 : 2; }
static int drop(void *p) { free(p); live--; return 0; }
API const char *cudaGetErrorString(int code) { return code == 2 ? "out of memory" : "invalid argument"; }
API int cudaMalloc(void **p, size_t n) { return n > ((size_t)1 << 40) ? 2 : make(p, n); }
API int cudaFree(void *p) { return drop(p); }
API int cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, void *s) {
  if (!s || kind < 1 || kind > 2) return 1;
  memcpy(to, from, n);
  return 0;
}
API int cudaStreamCreateWithFlags(void **s, int flags) { return flags == 1 ? make(s, 8) : 1; }
API int cudaStreamDestroy(void *s) { return drop(s); }
API int cudaStreamSynchronize(void *s) { return s ? 0 : 1; }
API int cudaStreamBeginCapture(void *s, int mode) { if (!s || mode != 1 || capturing) return 1; capturing = 1; return 0; }
API int cudaStreamEndCapture(void *s, void **g) { if (!s || !capturing) return 1; capturing = 0; return make(g, 8); }
API int cudaEventCreate(void **e) { return make(e, sizeof(double)); }
API int cudaEventDestroy(void *e) { return drop(e); }
API int cudaEventRecord(void *e, void *s) { if (!s) return 1; *(double *)e = now(); return 0; }
API int cudaEventSynchronize(void *e) { return e ? 0 : 1; }
API int cudaEventElapsedTime(float *ms, void *a, void *b) { *ms = (float)(*(double *)b - *(double *)a); return 0; }
API int cudaGraphInstantiateWithFlags(void **x, void *g, unsigned long long flags) { return g && !flags ? make(x, 8) : 1; }
API int cudaGraphLaunch(void *x, void *s) { if (!x || !s) return 1; launched++; return 0; }
API int cudaGraphDestroy(void *g) { return drop(g); }
API int cudaGraphExecDestroy(void *x) { return drop(x); }
API int cudaGetDeviceProperties(void *p, int device) { if (device) return 1; memset(p, 'x', 1008); strcpy(p, "Host GPU"); return 0; }
API int host_live(void) { return live; }
API int host_launched(void) { return launched; }
