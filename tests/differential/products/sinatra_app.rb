# Sinatra with its defaults, method override included, with WEBrick.
require "json"
require "sinatra/base"
require "webrick"
require "rack/handler/webrick"

RAN = Hash.new(0)

class Product < Sinatra::Base
  set :show_exceptions, false
  set :environment, :production
  set :method_override, true # what `require "sinatra"` sets
  disable :logging, :protection

  def self.add(path, name, verbs)
    verbs.each do |verb|
      send(verb, path) do
        RAN[name] += 1
        headers "X-Ran" => name
        "ok"
      end
    end
  end

  every = %i[get post put delete patch]
  add "/api/paid", "paid", every
  add "/api/items/:item", "item", every
  add "/api/admin", "admin", every
  add "/api/secret/*", "secret", every
  add "/api/doc", "doc_put", %i[put]
  add "/api/doc", "doc_post", %i[post]
  add "/api/get", "get", %i[get]
  add "/api/get", "get_post", %i[post]
  add "/free", "free", every
  add "/free/*", "free", every
  get("/ran") { JSON.generate(RAN) }
end

Rack::Handler::WEBrick.run(
  Product, Host: "127.0.0.1", Port: ARGV[0].to_i, AccessLog: [], Logger: WEBrick::Log.new(File::NULL)
)
