-- Requests for wrk: chat completions of SIZE bytes from 256 conversations that share a system prompt.
-- KEY, MODEL and SIZE come from the environment. Prints one line of JSON when done; latencies in milliseconds.
local size, model, key = tonumber(os.getenv("SIZE")), os.getenv("MODEL"), os.getenv("KEY")
local words = string.rep("lorem ipsum dolor sit amet consectetur ", math.ceil(size / 39))
local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. key }
local requests, turn = {}, 0

function init()
  for i = 1, 256 do
    local head = '{"model":"' .. model .. '","stream":false,"max_tokens":20,"messages":[{"role":"system",'
      .. '"content":"You are a helpful assistant."},{"role":"user","content":"'
    local own = string.format("%08d conversation number %d. ", i, i)
    local body = head .. own .. words:sub(1, size - #head - #own - 4) .. '"}]}'
    requests[i] = wrk.format("POST", "/v1/chat/completions", headers, body)
  end
end

function request()
  turn = turn + 1
  return requests[turn % 256 + 1]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f,"errors":%d}\n', summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    e.status + e.connect + e.read + e.write + e.timeout))
end
