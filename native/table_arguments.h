// Checks of the tables that JavaScript hands in (head_layout.h): what the core may rely on is established here.
#pragma once

#include <napi.h>

#include <optional>
#include <span>

#include "head_layout.h"

namespace sluice::arguments {

inline Napi::Value wrong(Napi::Env env, const char* what) {
  Napi::TypeError::New(env, what).ThrowAsJavaScriptException();
  return env.Undefined();
}

[[nodiscard]] inline bool is_array_of(const Napi::Value& value, napi_typedarray_type type) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type;
}
[[nodiscard]] inline std::optional<std::span<const uint8_t>> bytes_of(const Napi::Value& value) {
  if (!is_array_of(value, napi_uint8_array)) return std::nullopt;
  const auto array = value.As<Napi::Uint8Array>();
  return std::span<const uint8_t>{array.Data(), array.ElementLength()};
}
[[nodiscard]] inline std::optional<std::span<const int32_t>> ints_of(const Napi::Value& value) {
  if (!is_array_of(value, napi_int32_array)) return std::nullopt;
  const auto array = value.As<Napi::Int32Array>();
  return std::span<const int32_t>{array.Data(), array.ElementLength()};
}

/// A head's table must hold the lines that it says it has.
[[nodiscard]] inline bool is_head_table(std::span<const int32_t> table) {
  if (table.size() < static_cast<size_t>(layout::kHeadFields)) return false;
  const int64_t count = table[layout::kHeadCount];
  return count >= 0 && static_cast<int64_t>(table.size()) >= layout::kHeadFields + count * layout::kFieldWords;
}
[[nodiscard]] inline bool is_inside(int32_t start, int32_t bytes, size_t size) {
  return bytes <= 0 || (start >= 0 && static_cast<int64_t>(start) + bytes <= static_cast<int64_t>(size));
}
/// Every span of a head lies in its bytes, and well-known names lead to lines that are there.
[[nodiscard]] inline bool fits_lines(std::span<const int32_t> table, std::span<const uint8_t> bytes) {
  for (const int word : {layout::kHeadMethod, layout::kHeadTarget, layout::kHeadAuthority, layout::kHeadPath, layout::kHeadScheme, layout::kHeadProtocol}) {
    if (!is_inside(table[static_cast<size_t>(word)], table[static_cast<size_t>(word) + 1], bytes.size())) return false;
  }
  for (int i = 0; i < layout::kKnownCount; i++) {
    const int32_t line = table[static_cast<size_t>(layout::kHeadKnown + i)];
    if (line < 0 || line > table[layout::kHeadCount]) return false;
  }
  for (int32_t i = 0; i < table[layout::kHeadCount]; i++) {
    const int32_t* const field = table.data() + layout::kHeadFields + i * layout::kFieldWords;
    if (!is_inside(field[0], field[1] & 0xffff, bytes.size()) || !is_inside(field[2], field[3], bytes.size())) return false;
  }
  return true;
}
[[nodiscard]] inline bool edits_fit(std::span<const int32_t> edits, std::span<const uint8_t> bytes) {
  if (edits.size() < static_cast<size_t>(layout::kEditLines)) return false;
  const int64_t count = edits[layout::kEditCount];
  if (count < 0 || static_cast<int64_t>(edits.size()) < layout::kEditLines + count * layout::kLineWords) return false;
  for (const int word : {layout::kEditMethod, layout::kEditTarget, layout::kEditAppend}) {
    if (!is_inside(edits[static_cast<size_t>(word)], edits[static_cast<size_t>(word) + 1], bytes.size())) return false;
  }
  for (int64_t i = 0; i < count; i++) {
    const auto at = static_cast<size_t>(layout::kEditLines + i * layout::kLineWords);
    if (!is_inside(edits[at + 1], edits[at + 2], bytes.size())) return false;
  }
  return true;
}

}  // namespace sluice::arguments
