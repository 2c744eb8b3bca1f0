// Componium for Unity (2021 or newer; C# 7.3): one file to copy into Assets, no package. MIT licence.
//
// Put it on a GameObject. Componium plays with --osc 127.0.0.1:9000. A thread receives; everything is
// told on the main thread, in Update.
using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Threading;
using UnityEngine;

public class Componium : MonoBehaviour
{
    public int listenPort = 9000;
    public string serverHost = "127.0.0.1";
    public int serverPort = 1821;

    public event Action<int, int, float> Beat;                  // bar, beat, tempo
    public event Action<int> Bar;
    public event Action<string, int, float, float> Note;        // part, pitch, velocity, seconds
    public event Action<string, int> NoteOff;
    public event Action<string, int[]> Chord;
    public event Action<string, int> Section;                   // name, bar
    public event Action<string, int, float> SectionComing;      // name, bar, seconds
    public event Action<string, int> Cue;
    public event Action<string> Key;
    public event Action<string, string, int> Stinger;           // name, "began" or "ended", bar
    public event Action<string> Transport;                      // "playing", "stopped"
    public event Action<float, float, string> Mood;             // valence, arousal, word
    public event Action<string, string, float, string> Receipt; // address, state, bar, reason
    public event Action<string, object[]> Heard;                // every message

    public float Tempo { get; private set; } = 120f;

    const int MostWaiting = 4096; // messages between two frames; a stalled game drops the rest

    readonly ConcurrentQueue<KeyValuePair<string, object[]>> incoming =
        new ConcurrentQueue<KeyValuePair<string, object[]>>();
    List<KeyValuePair<string, Action>> waiting = new List<KeyValuePair<string, Action>>();
    UdpClient socket;
    Thread thread;
    volatile bool leaving;
    double beatAt;

    /// Send a command: Say("/section", "Danger", "bar").
    public void Say(string address, params object[] values)
    {
        if (socket == null) return;
        string whole = address.StartsWith("/componium/") ? address : "/componium" + address;
        byte[] data = Encode(whole, values);
        socket.Send(data, data.Length, serverHost, serverPort);
    }

    /// Call something once, when the next "beat" or "bar" falls.
    public void When(string what, Action call)
    {
        waiting.Add(new KeyValuePair<string, Action>(what, call));
    }

    /// How far the beat has come, 0 to 1: for what pulses, bobs or flickers.
    public float BeatPhase()
    {
        return Mathf.Min((float)(Time.realtimeSinceStartupAsDouble - beatAt) * Tempo / 60f, 1f);
    }

    void OnEnable()
    {
        leaving = false;
        socket = new UdpClient(new IPEndPoint(IPAddress.Loopback, listenPort));
        thread = new Thread(Receive) { IsBackground = true, Name = "Componium" };
        thread.Start();
    }

    void OnDisable()
    {
        leaving = true;
        socket.Close(); // which ends the wait of the thread
        thread.Join(500);
        socket = null;
    }

    void Receive()
    {
        var anybody = new IPEndPoint(IPAddress.Any, 0);
        while (!leaving)
        {
            try
            {
                byte[] data = socket.Receive(ref anybody);
                if (Decode(data, out string address, out object[] values) && incoming.Count < MostWaiting)
                    incoming.Enqueue(new KeyValuePair<string, object[]>(address, values));
            }
            catch (SocketException) { } // nobody listened to what we said; Windows tells so
            catch (ObjectDisposedException) { return; }
        }
    }

    void Update()
    {
        while (incoming.TryDequeue(out KeyValuePair<string, object[]> message))
        {
            Heard?.Invoke(message.Key, message.Value);
            try { Take(message.Key.Replace("/componium", ""), message.Value); }
            catch (Exception error) when (error is InvalidCastException || error is IndexOutOfRangeException)
            {
                Debug.LogWarning("Componium: " + message.Key + " has other arguments than expected");
            }
        }
    }

    void Take(string address, object[] v)
    {
        if (address.StartsWith("/part/"))
        {
            string[] words = address.Split('/');
            if (words[3] == "note") Note?.Invoke(words[2], (int)v[0], (float)v[1], (float)v[2]);
            else if (words[3] == "off") NoteOff?.Invoke(words[2], (int)v[0]);
            return;
        }
        switch (address)
        {
            case "/beat": TakeBeat((int)v[0], (int)v[1], (float)v[2]); break;
            case "/chord":
                var classes = new int[v.Length - 1];
                for (int n = 0; n < classes.Length; n++) classes[n] = (int)v[n + 1];
                Chord?.Invoke((string)v[0], classes);
                break;
            case "/section": Section?.Invoke((string)v[0], (int)v[1]); break;
            case "/section/next": SectionComing?.Invoke((string)v[0], (int)v[1], (float)v[2]); break;
            case "/cue": Cue?.Invoke((string)v[0], (int)v[1]); break;
            case "/key": Key?.Invoke((string)v[0]); break;
            case "/stinger": Stinger?.Invoke((string)v[0], (string)v[1], (int)v[2]); break;
            case "/transport": Transport?.Invoke((string)v[0]); break;
            case "/mood": Mood?.Invoke((float)v[0], (float)v[1], (string)v[2]); break;
            case "/receipt":
                Receipt?.Invoke((string)v[0], (string)v[1], (float)v[2], (string)v[3]);
                break;
        }
    }

    void TakeBeat(int bar, int beat, float tempo)
    {
        beatAt = Time.realtimeSinceStartupAsDouble;
        Tempo = tempo;
        List<KeyValuePair<string, Action>> due = waiting;
        waiting = new List<KeyValuePair<string, Action>>();
        foreach (KeyValuePair<string, Action> each in due)
        {
            if (each.Key == "beat" || beat == 1) each.Value();
            else waiting.Add(each);
        }
        Beat?.Invoke(bar, beat, tempo);
        if (beat == 1) Bar?.Invoke(bar);
    }

    // OSC ------------------------------------------------------------------------------------

    /// A message of whole numbers, numbers, texts and booleans.
    public static byte[] Encode(string address, params object[] values)
    {
        var data = new List<byte>();
        var tags = new StringBuilder(",");
        foreach (object value in values)
        {
            if (value is bool) tags.Append((bool)value ? 'T' : 'F');
            else if (value is int) { tags.Append('i'); Put(data, BitConverter.GetBytes((int)value)); }
            else if (value is float || value is double)
            {
                tags.Append('f');
                Put(data, BitConverter.GetBytes(Convert.ToSingle(value)));
            }
            else { tags.Append('s'); data.AddRange(Padded(value.ToString())); }
        }
        var message = new List<byte>(Padded(address));
        message.AddRange(Padded(tags.ToString()));
        message.AddRange(data);
        return message.ToArray();
    }

    static void Put(List<byte> data, byte[] bytes)
    {
        if (BitConverter.IsLittleEndian) Array.Reverse(bytes);
        data.AddRange(bytes);
    }

    static byte[] Padded(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        var padded = new byte[(bytes.Length / 4 + 1) * 4];
        bytes.CopyTo(padded, 0);
        return padded;
    }

    /// Whether this is a message; then what it says.
    public static bool Decode(byte[] data, out string address, out object[] values)
    {
        int at = 0;
        values = null;
        string tags;
        if (!Text(data, ref at, out address) || !Text(data, ref at, out tags)) return false;
        if (!address.StartsWith("/") || !tags.StartsWith(",")) return false;
        var found = new List<object>();
        foreach (char tag in tags.Substring(1))
        {
            if (tag == 'T' || tag == 'F') found.Add(tag == 'T');
            else if (tag == 's')
            {
                if (!Text(data, ref at, out string text)) return false;
                found.Add(text);
            }
            else if (tag == 'i' || tag == 'f')
            {
                if (at + 4 > data.Length) return false;
                var bytes = new byte[4];
                Array.Copy(data, at, bytes, 0, 4);
                if (BitConverter.IsLittleEndian) Array.Reverse(bytes);
                found.Add(tag == 'i' ? (object)BitConverter.ToInt32(bytes, 0) : BitConverter.ToSingle(bytes, 0));
                at += 4;
            }
            else return false;
        }
        values = found.ToArray();
        return true;
    }

    static bool Text(byte[] data, ref int at, out string text)
    {
        text = null;
        int end = at < data.Length ? Array.IndexOf(data, (byte)0, at) : -1;
        if (end < 0) return false;
        text = Encoding.UTF8.GetString(data, at, end - at);
        at = (end / 4 + 1) * 4;
        return true;
    }
}
