# Tells on standard output what the client for Godot 3 hears, and says what it is asked to.
extends Node

var music = preload("res://componium.gd").new()


func _ready():
	music.listen_port = int(OS.get_environment("LISTEN"))
	music.server_port = int(OS.get_environment("SERVER"))
	add_child(music)
	for what in ["heard", "beat", "bar", "note", "section_coming"]:
		music.connect(what, self, "_on_" + what)
	music.when("beat", self, "told", [["on the beat"]])
	music.when("bar", self, "told", [["on the bar"]])
	music.say("/ready")


func told(values):
	print(to_json(values))


func _on_heard(address, values):
	told(["heard", address] + values)
	if address == "/componium/section":
		music.say("/tempo", [132, 16.5])
		music.say("/section", ["Grün", "bar"])
		music.say("/part/a/mute", [true])
	if address == "/componium/transport":
		get_tree().quit()


func _on_beat(bar, number, tempo):
	told(["beat", bar, number, tempo])


func _on_bar(number):
	told(["bar", number])


func _on_note(part, pitch, velocity, seconds):
	told(["note", part, pitch, velocity, seconds])


func _on_section_coming(name, bar, seconds):
	told(["coming", name, bar, seconds])
