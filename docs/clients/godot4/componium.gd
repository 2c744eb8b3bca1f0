# Componium for Godot 4: one file to copy into a project. MIT licence.
#
# Add a Node with this script (or load it as an autoload named Music). Componium plays with
# --osc 127.0.0.1:9000. Everything comes as signals; `say` sends commands.
extends Node

signal beat(bar, number, tempo)
signal bar(number)
signal note(part, pitch, velocity, seconds)
signal note_off(part, pitch)
signal chord(name, classes)
signal key(name)
signal section(name, bar)
signal section_coming(name, bar, seconds)
signal cue(name, bar)
signal mood(valence, arousal, word)
signal stinger(name, state, bar)
signal transport(state)
signal receipt(address, state, bar, reason)
signal heard(address, values)  # every message, those above too

@export var listen_port = 9000
@export var server_host = "127.0.0.1"
@export var server_port = 1821

const SILENCE = 4000000  # microseconds without a beat

var tempo = 120.0
var _socket = PacketPeerUDP.new()
var _beat_at = -SILENCE
var _waiting = []  # [what, object, method, values]


func _ready():
	if _socket.bind(listen_port, "127.0.0.1") != OK:
		push_error("Componium: port %d is taken" % listen_port)
	_socket.set_dest_address(server_host, server_port)


func _exit_tree():
	_socket.close()


# Send a command: say("/section", ["Danger", "bar"]).
func say(address, values = []):
	var whole = address if address.begins_with("/componium/") else "/componium" + address
	_socket.put_packet(encode(whole, values))


# Call a method once, when the next "beat" or "bar" falls.
func when(what, object, method, values = []):
	_waiting.append([what, object, method, values])


# Whether there is music: false where Componium does not play, or is not there at all.
func alive():
	return Time.get_ticks_usec() - _beat_at < SILENCE


# How far the beat has come, 0 to 1: for what pulses, bobs or flickers.
func beat_phase():
	return min((Time.get_ticks_usec() - _beat_at) * tempo / 60000000.0, 1.0)


func _process(_delta):
	while _socket.get_available_packet_count() > 0:
		var message = decode(_socket.get_packet())
		if message != null:
			_take(message[0], message[1])


func _take(address, v):
	emit_signal("heard", address, v)
	var words = address.trim_prefix("/componium/").split("/")
	if words[0] == "part" and words.size() == 3:
		if words[2] == "note" and v.size() == 3:
			emit_signal("note", words[1], v[0], v[1], v[2])
		elif words[2] == "off" and v.size() == 1:
			emit_signal("note_off", words[1], v[0])
		return
	match address.trim_prefix("/componium"):
		"/beat":
			if v.size() == 3:
				_beat(v[0], v[1], v[2])
		"/chord":
			if v.size() > 1:
				emit_signal("chord", v[0], v.slice(1))
		"/key":
			_emit("key", v, 1)
		"/section":
			_emit("section", v, 2)
		"/section/next":
			_emit("section_coming", v, 3)
		"/cue":
			_emit("cue", v, 2)
		"/mood":
			_emit("mood", v, 3)
		"/stinger":
			_emit("stinger", v, 3)
		"/transport":
			_emit("transport", v, 1)
		"/receipt":
			_emit("receipt", v, 4)


func _emit(what, v, count):
	if v.size() == count:
		callv("emit_signal", [what] + v)


func _beat(bar_number, number, new_tempo):
	_beat_at = Time.get_ticks_usec()
	tempo = new_tempo
	var waiting = _waiting
	_waiting = []
	for each in waiting:
		if each[0] == "beat" or number == 1:
			each[1].callv(each[2], each[3])
		else:
			_waiting.append(each)
	emit_signal("beat", bar_number, number, new_tempo)
	if number == 1:
		emit_signal("bar", bar_number)


# OSC ------------------------------------------------------------------------------------------


# A message of whole numbers, numbers, texts and booleans, as bytes.
static func encode(address, values):
	var out = StreamPeerBuffer.new()
	out.big_endian = true
	var tags = ","
	for value in values:
		tags += {TYPE_BOOL: "T" if value else "F", TYPE_INT: "i", TYPE_FLOAT: "f"}.get(typeof(value), "s")
	_put_text(out, address)
	_put_text(out, tags)
	for value in values:
		match typeof(value):
			TYPE_BOOL:
				pass
			TYPE_INT:
				out.put_32(value)
			TYPE_FLOAT:
				out.put_float(value)
			_:
				_put_text(out, str(value))
	return out.data_array


static func _put_text(out, text):
	var data = text.to_utf8_buffer()
	out.put_data(data)
	for _n in range(4 - data.size() % 4):
		out.put_8(0)


# Address and values of a message; null for anything else.
static func decode(data):
	var place = [0]
	var address = _get_text(data, place)
	var tags = _get_text(data, place)
	if address == null or tags == null or not address.begins_with("/") or not tags.begins_with(","):
		return null
	var from = StreamPeerBuffer.new()
	from.big_endian = true
	from.data_array = data
	var values = []
	for tag in tags.substr(1):
		var size = {"i": 4, "f": 4, "h": 8, "d": 8, "s": 0, "T": 0, "F": 0}.get(tag, -1)
		if size < 0 or place[0] + size > data.size():
			return null
		from.seek(place[0])
		match tag:
			"i":
				values.append(from.get_32())
			"f":
				values.append(from.get_float())
			"h":
				values.append(from.get_64())
			"d":
				values.append(from.get_double())
			"T", "F":
				values.append(tag == "T")
			"s":
				var text = _get_text(data, place)
				if text == null:
					return null
				values.append(text)
		place[0] += size
	return [address, values]


static func _get_text(data, place):
	var end = place[0]
	while end < data.size() and data[end] != 0:
		end += 1
	if end >= data.size():
		return null
	var text = ""
	if end > place[0]:
		text = data.slice(place[0], end).get_string_from_utf8()
	place[0] = (end + 4) / 4 * 4
	return text
