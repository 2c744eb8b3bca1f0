# A level, scored: rooms that are emotional points, a boss behind a cue, a stinger on a pickup, and
# blows that fall on the beat. Componium plays  level  beside it:
#     scripts/play level --osc 127.0.0.1:9000
# A Node2D with this script is all of the scene; arrow keys walk, Enter fights. Godot 4.
extends Node2D

const Componium = preload("res://componium.gd")
const SPEED = 6.0  # units a second
const BOSS_GATE = Vector2(60, 0)

var music = Componium.new()
var hero = Vector2(0, 0)
var coins = [Vector2(8, 0), Vector2(34, 0)]
var gate_open = false
var asked = false
var boss_life = 4
var _told_at = 0.0


func _ready():
	add_child(music)
	music.beat.connect(_on_beat)
	music.section.connect(_on_section)
	music.section_coming.connect(_on_section_coming)
	music.receipt.connect(_on_receipt)


func _process(delta):
	var way = Input.get_vector("ui_left", "ui_right", "ui_up", "ui_down")
	walk(hero + way * SPEED * delta)
	_told_at += delta
	if _told_at > 0.25 and not gate_open:  # four times a second is plenty
		_told_at = 0.0
		music.say("/listener", [hero.x, hero.y])  # between the rooms the moods mix
	scale = Vector2.ONE * (1.0 + 0.05 * (1.0 - music.beat_phase()))  # it breathes with the beat
	if Input.is_action_just_pressed("ui_accept") and gate_open:
		fight()


func walk(to):
	hero = to
	for coin in coins.duplicate():
		if hero.distance_to(coin) < 1.0:
			coins.erase(coin)
			music.say("/stinger", ["pickup"])  # it rings on the next sixteenth, in the key
	if hero.distance_to(BOSS_GATE) >= 2.0 or gate_open:
		return
	if not music.alive():
		gate_open = true  # without music the game goes on all the same
	elif not asked:
		asked = true
		music.say("/section", ["Boss", "cue door"])  # the next bar at which a door may open


func fight():
	if music.alive():
		music.when("beat", self, "blow")  # not now: on the beat
	else:
		blow()


func blow():
	boss_life -= 1
	music.say("/stinger", ["hit"])
	print("blow ", boss_life)
	if boss_life == 0:
		music.say("/section", ["Victory", "cue blow"])
		music.say("/stinger", ["win"])


func _on_beat(bar, number, _tempo):
	print("beat ", bar, " ", number)


func _on_section(name, bar):
	print("section ", name, " ", bar)
	gate_open = name == "Boss"  # the gate opens on its first beat, and the boss roars


func _on_section_coming(name, _bar, seconds):
	print("coming ", name, " ", seconds)  # time to begin what leads there: a camera, a door


func _on_receipt(address, state, bar, reason):
	if address == "/componium/section" and (state == "refused" or state == "superseded"):
		asked = false  # at the gate it is asked for again
	if address != "/componium/listener":
		print("receipt ", address, " ", state, " ", bar, " ", reason)
