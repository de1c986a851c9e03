#pragma once

#include <napi.h>

namespace sluice {

/// Adds `createEngine(arena, events, clock, deliver)` to the exports; src/network/native-engine.ts says what it gives.
void RegisterEngine(Napi::Env env, Napi::Object exports);

}  // namespace sluice
