// The addon's entry: what JavaScript sees of native/.
#include <napi.h>

#include "engine_binding.h"

void RegisterFrames(Napi::Env env, Napi::Object exports);
void RegisterHpack(Napi::Env env, Napi::Object exports);
void RegisterHttp2(Napi::Env env, Napi::Object exports);
void RegisterHttp1(Napi::Env env, Napi::Object exports);

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  sluice::RegisterEngine(env, exports);
  RegisterFrames(env, exports);
  RegisterHpack(env, exports);
  RegisterHttp1(env, exports);
  RegisterHttp2(env, exports);
  return exports;
}

NODE_API_MODULE(NODE_GYP_MODULE_NAME, Init)
